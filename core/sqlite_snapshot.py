"""A copy of an SQLite database as it stood at one moment, while others write to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from core.private_files import OWNER_ONLY


def snapshot(database: Path, copy: Path) -> None:
    """Copy what is committed to the new file `copy`, which only its owner may read; writers wait for nothing.

    Raises sqlite3.Error when it is no database, or damaged.
    """
    copy.touch(OWNER_ONLY, exist_ok=False)
    with (
        closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)  # in one step, so that no writer begins it anew
