"""Writes tallies to the ledger every few seconds, from a thread of its own; also in Serve's proxy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from core.errors import LedgerUnavailable
from ledger import Ledger
from serve_apps.application.edge_tally import Tally

logger = logging.getLogger("serinus.tally")
WRITE_S: Final = 5.0


class TallyWriter:
    """Writes what tallies hold, again and again, and once more at its end."""

    def __init__(
        self, tallies: Sequence[Tally], open_ledger: Callable[[], Ledger], every_s: float = WRITE_S
    ) -> None:
        self._tallies = tuple(tallies)
        self._open_ledger = open_ledger
        self._every_s = every_s
        self._ledger: Ledger | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tally", daemon=True)

    def follow(self) -> None:
        """Begin to write, in a thread that ends with the process or at `close`."""
        self._thread.start()

    def once(self) -> None:
        """Write now. What fails is logged, and written the next time."""
        for tally in self._tallies:
            try:
                self._ledger = self._ledger or self._open_ledger()
                tally.write(self._ledger)
            except LedgerUnavailable:
                logger.info("tally.waits")
            except Exception as error:
                logger.exception("tally.failed", extra={"error": type(error).__name__})

    def close(self, within_s: float = 2.0) -> None:
        """Write for the last time, if that takes no longer than `within_s`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def _follow(self) -> None:
        while not self._ended.wait(self._every_s):
            self.once()
        self.once()
