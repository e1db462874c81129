"""Keeps a process's key ring as the ledger has it, from a thread of its own; also in Serve's proxy.

What was read last stays in force while the ledger is away.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger import Ledger, NewKey
from serve_apps.application.callers import Scope
from serve_apps.application.key_ring import KeyRing

logger = logging.getLogger("serinus.keys")
LOOK_S: Final = 0.5


class KeyFollower:
    """Looks at the keys in the ledger twice a second; `file` names the first keys of a new ledger, if it is there."""

    def __init__(self, ring: KeyRing, open_ledger: Callable[[], Ledger], file: Path) -> None:
        self._ring = ring
        self._open_ledger = open_ledger
        self._file = file
        self._ledger: Ledger | None = None
        self._adopted_at: int | None = None
        self._ended = threading.Event()
        self._last_fault = ""

    def follow(self) -> None:
        """Begin to look, in a thread that ends with the process or at `close`."""
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def look(self) -> None:
        """Go by the keys as they stand now. Raises LedgerUnavailable, or ValueError for a file that names no keys."""
        self._ledger = self._ledger or self._open_ledger()
        keys = self._ledger.keys
        self._adopt()
        self._ring.take(keys.all())
        for day, used in self._ring.newly_used().items():
            keys.note_used(used, day)

    def close(self) -> None:
        self._ended.set()

    def _adopt(self) -> None:
        assert self._ledger is not None
        if not self._file.exists() or (changed_at := self._file.stat().st_mtime_ns) == self._adopted_at:
            return
        try:
            self._ledger.keys.adopt(keys_in(self._file))
        except (ValueError, KeyError) as error:  # the keys of the ledger count all the same
            logger.error("keys.file_refused", extra={"error": type(error).__name__})
        self._adopted_at = changed_at

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_S):
            try:
                self.look()
                fault = ""
            except Exception as error:  # noqa: BLE001 - outermost loop; the keys of then stay in force
                fault = type(error).__name__
            if fault and fault != self._last_fault:
                logger.error("keys.not_read", extra={"error": fault})
            self._last_fault = fault


def keys_in(file: Path) -> tuple[NewKey, ...]:
    """The keys of a file. Raises ValueError or KeyError for what is no file of keys, or an unknown scope."""
    return tuple(
        NewKey(row["name"], row["name"], tuple(Scope(scope).value for scope in row["scopes"]), row["sha256"])
        for row in json.loads(file.read_text())
    )
