"""A file that is written whole: a reader, or a crash, sees the old content or the new one, never a part.

Its owner alone may read it, whatever the umask says.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from core.private_files import OWNER_ONLY, OWNER_ONLY_FOLDER


def atomic_write(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Write beside `path`, flush it to disk, move it over `path`, flush the folder. Many may do so at once.

    Without `replace` a file that is there is kept and FileExistsError is raised.
    """
    _make_folder(path.parent)
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}")
    try:
        _write(part, content)
        if replace:
            os.replace(part, path)
        else:
            os.link(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on disk: without this a crash may forget a file whose content was flushed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=OWNER_ONLY_FOLDER)
    sync_folder(folder.parent)
