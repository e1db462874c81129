"""Patient data at rest: what our processes write is readable by its owner only, whatever the code asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600  # of a file
OWNER_ONLY_FOLDER: Final = 0o700
OTHERS: Final = 0o077  # what nobody else gets


class ForeignFolder(RuntimeError):
    """A folder of that name is another user's: whatever is written there, he reads or replaces."""


def write_privately() -> None:
    """Let this process, and all that it starts, make files and folders for their owner only.

    SQLite gives its `-wal` and `-shm` the mode of their database. To be called before anything is written.
    """
    os.umask(OTHERS)


def private_folder(folder: Path) -> Path:
    """Make the folder, or take away from others what they could do in one that is there; returns it.

    Raises ForeignFolder.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise ForeignFolder(f"{folder} belongs to another user")
    if status.st_mode & OTHERS:
        folder.chmod(OWNER_ONLY_FOLDER)
    return folder
