"""Keeps SQLite's write-ahead log small: it would grow for as long as somebody reads.

SQLite writes the log back by itself, but begins it anew only in a moment when nobody reads from it; several processes
that read many times a second leave no such moment, and a log that has grown stays as long as it was. So one process
looks now and then and, when the log is long, has new writers wait for the readers of that moment, which are over in
milliseconds (`PRAGMA wal_checkpoint(TRUNCATE)`).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from core.errors import LedgerUnavailable

LOG_BYTES: Final = 16 << 20  # beyond this the log is cut
WAIT_S: Final = 0.2  # how long writers may be held up for readers


class WriteAheadLog:
    """The log of one database; `file` is None where there is none, as on PostgreSQL."""

    def __init__(self, file: Path | None, longest_bytes: int = LOG_BYTES, wait_s: float = WAIT_S) -> None:
        self._file = file
        self._longest_bytes = longest_bytes
        self._wait_s = wait_s

    @property
    def size(self) -> int:
        """Bytes of the log as it lies on the disk."""
        if self._file is None:
            return 0
        try:
            return self._file.with_name(f"{self._file.name}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def trim(self) -> int:
        """Cut the log if it is long; returns its size afterwards.

        Not cut is a log that somebody reads from for longer than writers may be held up. Most is written back before
        writers are held up. Raises LedgerUnavailable.
        """
        if self._file is not None and self.size > self._longest_bytes:
            try:
                self._cut(self._file)
            except sqlite3.Error as error:
                raise LedgerUnavailable(f"the ledger's log cannot be cut: {type(error).__name__}") from None
        return self.size

    def _cut(self, file: Path) -> None:
        address = f"{file.absolute().as_uri()}?mode=rw"
        with closing(
            sqlite3.connect(address, uri=True, timeout=self._wait_s, isolation_level=None)
        ) as database:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
