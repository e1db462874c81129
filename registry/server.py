"""The embedded MLflow server of one folder: migrated alone, started in a session of its own, ended whole.

MLflow's command starts uvicorn as a child and leaves it serving when it is killed, so neither a pid nor a
port tells what is ours. Every process of the server carries the folder in its environment, and so do its
children; whoever carries it is ended. Nothing here imports MLflow.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

import httpx
from filelock import FileLock

from registry.process_group import MarkedProcesses, end_marked, marked
from registry.secret_file import read_or_create_secret

OWNER = "SERINUS_EMBEDDED_MLFLOW"
HOST = "127.0.0.1"
MIGRATE_TIMEOUT_S = 300.0
START_TIMEOUT_S = 120.0


class EmbeddedServerError(RuntimeError):
    """The embedded MLflow server could not be migrated, started or reached; the text says what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server. `pid` leads its session and process group, so it is the group's id too."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What the server keeps in its folder; the traces, runs and registry lie in one SQLite file (WAL)."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def record(self) -> Path:
        return self.root / "server.json"

    @property
    def lock(self) -> Path:
        return self.root / "server.lock"

    @property
    def migrated(self) -> Path:
        """Holds the MLflow version that migrated the database last."""
        return self.root / "migrated"

    @property
    def webhook_key(self) -> Path:
        """Fernet key of the stored webhook secrets; were it new at each start, none could be read again."""
        return self.root / "webhook.key"


def start_embedded(
    directory: Path, port: int = 5000, *, environment: Mapping[str, str] | None = None
) -> EmbeddedServer:
    """Have the server of `directory` answer on `port`; a second call finds the first one's and returns it.

    `environment` is what the children inherit (default: this process's own), less MLflow's own variables.
    Raises EmbeddedServerError when the port is somebody else's or the server does not come up.
    """
    files = ServerFiles(directory.resolve())
    files.artifacts.mkdir(parents=True, exist_ok=True)
    with _locked(files):
        running = find_embedded(files.root)
        if running and running.port == port and answers(running):
            return running
        _end_all(files)
        _require_free(port)
        environ = _environment(files, os.environ if environment is None else environment)
        _migrate(files, environ)
        return _start(files, port, environ)


def stop_embedded(directory: Path) -> int:
    """End the server of `directory` with all its children; returns how many processes ended."""
    files = ServerFiles(directory.resolve())
    if not files.root.is_dir():
        return 0
    with _locked(files):
        return _end_all(files)


def find_embedded(directory: Path) -> EmbeddedServer | None:
    """The server that was started here and still has a process, whether or not it answers."""
    files = ServerFiles(directory.resolve())
    try:
        server = EmbeddedServer(**json.loads(files.record.read_text()))
    except FileNotFoundError:
        return None
    return server if owned_processes(files.root) else None


def database_of(directory: Path) -> Path:
    """The database file of the server of `directory`, an SQLite database in WAL mode."""
    return ServerFiles(directory.resolve()).database


def answers(server: EmbeddedServer, timeout_s: float = 2.0) -> bool:
    """Whether MLflow answers on the server's port."""
    try:
        reply = httpx.get(f"{server.url}/health", timeout=timeout_s, trust_env=False)
    except httpx.HTTPError:
        return False
    return reply.status_code == 200


def owned_processes(directory: Path) -> tuple[int, ...]:
    """Living processes of the server of `directory`, orphans included."""
    return marked(OWNER, str(directory.resolve()))


def _locked(files: ServerFiles) -> FileLock:
    """One starter or stopper at a time; the children do not inherit the lock."""
    return FileLock(files.lock)


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise EmbeddedServerError(
                f"port {port} is in use by another program; move MLflow with SERINUS_MLFLOW_PORT"
            ) from error


def _environment(files: ServerFiles, inherited: Mapping[str, str]) -> dict[str, str]:
    """Private addresses are allowed to webhooks because the only receiver is our own, on this machine."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}",
        OWNER: str(files.root),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_WEBHOOK_CACHE_TTL": "1",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": read_or_create_secret(files.webhook_key).decode(),
        "OMP_NUM_THREADS": "1",
    }


def _migrate(files: ServerFiles, environ: Mapping[str, str]) -> None:
    """Migrate once per MLflow version, alone: two first starts at once can break the database for good."""
    current = installed_version("mlflow")
    if files.database.exists() and files.migrated.exists() and files.migrated.read_text() == current:
        return
    with files.log.open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-m", "mlflow", "db", "upgrade", _uri(files)],
            env=environ,
            cwd=files.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=MIGRATE_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        raise EmbeddedServerError(f"MLflow's database could not be migrated; see {files.log}")
    with closing(sqlite3.connect(files.database)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # persists; readers no longer wait for trace writers
    files.migrated.write_text(current)


def _uri(files: ServerFiles) -> str:
    return f"sqlite:///{files.database}"


def _start(files: ServerFiles, port: int, environ: Mapping[str, str]) -> EmbeddedServer:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", _uri(files), "--artifacts-destination", str(files.artifacts)]
    command += ["--workers", "1", "--uvicorn-opts", "--no-access-log"]  # or polling fills the log
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=environ,
            cwd=files.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = EmbeddedServer(process.pid, port)
    files.record.write_text(json.dumps(asdict(server)))
    _wait_until_it_answers(files, server, process)
    return server


def _wait_until_it_answers(
    files: ServerFiles, server: EmbeddedServer, process: subprocess.Popen[bytes]
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            _end_all(files)
            raise EmbeddedServerError(
                f"MLflow's server ended with exit code {process.returncode}; see {files.log}"
            )
        if answers(server):
            return
        time.sleep(0.1)
    _end_all(files)
    raise EmbeddedServerError(f"MLflow's server did not answer in {START_TIMEOUT_S:.0f} s; see {files.log}")


def _end_all(files: ServerFiles) -> int:
    """End whoever carries the folder's mark; returns how many. Raises EmbeddedServerError if one cannot be ended."""
    ended = end_marked(MarkedProcesses(OWNER, str(files.root)))
    if ended.remaining:
        ids = ", ".join(map(str, ended.remaining))
        raise EmbeddedServerError(f"MLflow's processes {ids} cannot be ended, not even by a kill")
    files.record.unlink(missing_ok=True)
    return ended.processes
