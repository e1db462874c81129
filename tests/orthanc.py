"""A real Orthanc of our own: started on a free loopback port in a folder of the test's, ended with it.

    with Orthanc(tmp_path) as pacs:
        DicomwebSource(id="pacs", base_url=pacs.dicomweb_url)

`stop()` and `start()` again give the same address and the same studies: a PACS that was down for a while.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

_PLUGIN_ROOTS = (
    Path("/usr/share/orthanc"),
    Path("/usr/lib/orthanc"),
    Path("/usr/lib/x86_64-linux-gnu/orthanc"),
)
_READY_WITHIN_S = 60.0


class Orthanc:
    """Orthanc with its DICOMweb plugin. `users` (name to password) switches on HTTP basic authentication.

    `overwrite=False` is Orthanc's own default: an instance that is sent again keeps its first copy. `settings` and
    `environment` may be changed before a start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        overwrite: bool = True,
        name: str = "PACS",
    ) -> None:
        self.folder = folder / "orthanc"
        self.port = free_port()
        self.users = dict(users or {})
        self.settings = _settings(self.folder, self.port, self.users, overwrite, name)
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dicomweb_url(self) -> str:
        return f"{self.url}/dicom-web"

    @property
    def log(self) -> Path:
        return self.folder / "orthanc.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers. Raises RuntimeError with the end of its log if it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(self.settings))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["Orthanc", str(config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | self.environment,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End the process and wait for it: its SQLite index must be closed before the next start."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=20)
        self._process = None

    def push(self, files: Sequence[Path | bytes]) -> None:
        """Store Part 10 files through Orthanc's own REST interface (not the code under test)."""
        with self.client() as client:
            for file in files:
                body = file if isinstance(file, bytes) else file.read_bytes()
                client.post("/instances", content=body).raise_for_status()

    def count_instances(self) -> int:
        with self.client() as client:
            return int(client.get("/statistics").raise_for_status().json()["CountInstances"])

    def clear(self) -> None:
        """Delete every patient, so that one Orthanc can serve many tests."""
        with self.client() as client:
            for patient in client.get("/patients").raise_for_status().json():
                client.delete(f"/patients/{patient}").raise_for_status()

    def client(self) -> httpx.Client:
        """A client of Orthanc's REST interface, signed in. Orthanc closes idle connections after 1 s."""
        auth = next(iter(self.users.items()), None)
        transport = httpx.HTTPTransport(retries=3, limits=httpx.Limits(max_keepalive_connections=0))
        return httpx.Client(base_url=self.url, auth=auth, timeout=60, transport=transport)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"Orthanc did not start; the end of its log:\n{self.log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return client.get("/dicom-web/studies", params={"limit": "1"}).status_code == 200
        except httpx.TransportError:
            return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def plugin(library: str, package: str) -> Path:
    """Where Debian put the plugin. Raises FileNotFoundError naming the package that is missing."""
    for root in _PLUGIN_ROOTS:
        found = sorted(root.rglob(library)) if root.is_dir() else []
        if found:
            return found[0]
    raise FileNotFoundError(f"{library} not found: install the Debian packages orthanc and {package}")


def dicomweb_plugin() -> Path:
    return plugin("libOrthancDicomWeb.so", "orthanc-dicomweb")


def python_plugin() -> Path:
    return plugin("libOrthancPython.so", "orthanc-python")


def _settings(
    folder: Path, port: int, users: Mapping[str, str], overwrite: bool, name: str
) -> dict[str, object]:
    return {
        "Name": name,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,  # 1.10 has no bind address: it listens everywhere and refuses mismatched
        "AuthenticationEnabled": bool(users),
        "RegisteredUsers": dict(users),
        "DicomServerEnabled": False,
        "UnknownSopClassAccepted": True,
        "OverwriteInstances": overwrite,
        "StableAge": 3,
        "TcpNoDelay": True,
        "KeepAlive": True,
        "HttpCompressionEnabled": False,
        "SyncStorageArea": False,
        "StoreMD5ForAttachments": False,
        "SaveJobs": False,
        "Plugins": [str(dicomweb_plugin())],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "Ssl": False},
    }
