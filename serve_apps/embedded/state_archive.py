"""One file with all of a state folder that cannot be made again, written while the stack runs.

A tar of plain files; its last member says what it holds, with the digest of each, so that a file that was cut or
changed is told from a whole one. Databases are copied as they stood at one moment, before the files that their rows
name: those are written first and stay longer.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Final

from core.atomic_write import sync_folder
from core.clock import now
from core.private_files import OWNER_ONLY, OWNER_ONLY_FOLDER
from core.sqlite_snapshot import snapshot

CONTENTS: Final = "contents.json"  # the last member
FORMAT: Final = 1
PIECE: Final = 1 << 20


class NoBackup(RuntimeError):
    """The file is no whole backup, or there is no room for one; the text says what to do."""


@dataclass(frozen=True, slots=True)
class StateFiles:
    """What to keep of a state folder, as paths within it; what is not there is left out."""

    before: tuple[str, ...]  # files that may be older than the databases, but not newer
    databases: tuple[str, ...]  # SQLite's, in this order
    others: tuple[str, ...]  # files, and folders with all that is in them


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds: the digest (sha256) of each file by its path within the state folder."""

    made_at: datetime
    files: Mapping[str, str] = field(repr=False)

    def to_json(self) -> bytes:
        body = {"format": FORMAT, "made_at": self.made_at.isoformat(), "files": dict(self.files)}
        return json.dumps(body, indent=1).encode()


def back_up(root: Path, kept: StateFiles, file: Path) -> Contents:
    """Write `file`, which only its owner may read, whole or not at all. Raises NoBackup when it is there already."""
    if file.exists():
        raise NoBackup(f"{file} is there already")
    part = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as opened:
            contents = _write(root, kept, opened)
            opened.flush()
            os.fsync(descriptor)
        os.link(part, file)
    except OSError as error:
        raise NoBackup(f"the backup cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    sync_folder(file.absolute().parent)
    return contents


def restore(file: Path, root: Path) -> Contents:
    """Make the state folder `root` from a backup, whole or not at all.

    Raises NoBackup when `root` has anything in it, or the file is no whole backup.
    """
    if root.exists() and any(root.iterdir()):
        raise NoBackup(f"{root} is not empty: end the stack and move it away first")
    root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))  # mode 0700
    try:
        contents = _unpacked(file, part)
        os.replace(part, root)
    except (tarfile.TarError, EOFError, ValueError, KeyError) as error:
        raise NoBackup(f"{file} is no whole backup: {error}") from None
    except OSError as error:
        raise NoBackup(f"the backup cannot be restored: {error.strerror}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(root.parent)
    return contents


def _write(root: Path, kept: StateFiles, into: IO[bytes]) -> Contents:
    digests: dict[str, str] = {}
    made_at = now()
    with tarfile.open(fileobj=into, mode="w") as archive:
        _add_files(archive, root, kept.before, digests)
        for name in kept.databases:
            if (root / name).is_file():
                with _snapshot_of(root / name) as copy:
                    digests[name] = _add(archive, copy, name)
        _add_files(archive, root, kept.others, digests)
        contents = Contents(made_at, digests)
        body = contents.to_json()
        archive.addfile(_member(CONTENTS, len(body)), io.BytesIO(body))
    return contents


@contextmanager
def _snapshot_of(database: Path) -> Iterator[Path]:
    """A copy beside the database, for as long as it is needed."""
    copy = database.with_name(f".{database.name}.{secrets.token_hex(8)}")
    try:
        snapshot(database, copy)
        yield copy
    except sqlite3.Error as error:
        raise NoBackup(f"{database.name} cannot be copied: {type(error).__name__}") from None
    finally:
        copy.unlink(missing_ok=True)


def _add_files(archive: tarfile.TarFile, root: Path, names: Iterable[str], digests: dict[str, str]) -> None:
    for path in _files_of(root, names):
        name = path.relative_to(root).as_posix()
        with suppress(FileNotFoundError):  # it was removed since it was listed, as a study that was read
            digests[name] = _add(archive, path, name)


def _files_of(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = root / name
        if path.is_file():
            yield path
        for folder, _, files in os.walk(path):
            yield from (Path(folder, file) for file in sorted(files) if not file.startswith("."))


def _add(archive: tarfile.TarFile, path: Path, name: str) -> str:
    """Add a file; returns its digest."""
    with path.open("rb") as opened:
        digesting = _Digesting(opened)
        archive.addfile(_member(name, os.fstat(opened.fileno()).st_size), digesting)
    return digesting.digest.hexdigest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, OWNER_ONLY, int(time.time())
    return member


class _Digesting:
    """A file that is read once, from its beginning to its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


def _unpacked(file: Path, into: Path) -> Contents:
    """Unpack and compare. Raises NoBackup, or what tarfile raises of a file that is none."""
    digests: dict[str, str] = {}
    contents: Contents | None = None
    with tarfile.open(file, mode="r:") as archive:
        for member in archive:
            source = archive.extractfile(member)
            if source is None:
                raise NoBackup(f"{file} holds something else than files")
            if member.name == CONTENTS:
                contents = _contents(source.read())
            else:
                digests[member.name] = _extract(source, into, member.name)
    if contents is None or contents.files != digests:
        raise NoBackup(f"{file} is not whole: it was cut or changed")
    return contents


def _contents(body: bytes) -> Contents:
    read = json.loads(body)
    if read["format"] != FORMAT:
        raise NoBackup(f"the backup has format {read['format']}, this Serinus knows {FORMAT}")
    return Contents(datetime.fromisoformat(read["made_at"]), read["files"])


def _extract(source: IO[bytes], into: Path, name: str) -> str:
    """Write one member, for its owner only; returns its digest."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise NoBackup("the backup names a file outside of the state folder")
    path = into.joinpath(*parts)
    for folder in reversed(path.parents[: len(parts) - 1]):
        folder.mkdir(exist_ok=True, mode=OWNER_ONLY_FOLDER)
    digesting = _Digesting(source)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as target:
        shutil.copyfileobj(digesting, target, PIECE)
    return digesting.digest.hexdigest()
