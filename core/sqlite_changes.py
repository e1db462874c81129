"""Whether an SQLite database was written to, by whomever: SQLite's own counter, which costs microseconds to ask.

A loop that asks the same question of a database again and again asks this first, and keeps its last answer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path


class SqliteChanges:
    """Follows one database file from a connection of its own, which never writes (`PRAGMA data_version`).

    Safe from several threads. A file that is replaced is opened anew; one that cannot be read counts as changed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._openings = 0

    def mark(self) -> tuple[int, int] | None:
        """What differs from the last mark after every commit since; None, which says nothing, without the file."""
        with self._lock:
            try:
                version = self._version()
                return self._openings, version
            except (OSError, sqlite3.Error):
                self._close()
                return None

    def close(self) -> None:
        """Close the connection; the next mark opens another one."""
        with self._lock:
            self._close()

    def _version(self) -> int:
        status = os.stat(self._file)
        if self._connection is None or self._opened != (status.st_dev, status.st_ino):
            self._close()
            self._connection = sqlite3.connect(
                f"{self._file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.0, check_same_thread=False
            )
            self._opened = (status.st_dev, status.st_ino)
            self._openings += 1
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
