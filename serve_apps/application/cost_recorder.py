"""Takes cost events off the study's path: they are noted in memory, and written in batches by one call of the ledger.

What is noted when a process is killed is lost with it, and the bill, which is made of the paid times, stays right:
the time is idle time then. While the ledger is away the newest are kept, up to a limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from itertools import islice
from threading import Lock
from typing import Final, Protocol

from core.errors import LedgerUnavailable
from observability.cost.events import CostEvent
from serve_apps.application.executors import run_in

logger = logging.getLogger("serinus.costs")
EVERY_S: Final = 5.0
BATCH: Final = 500  # a transaction of many rows would keep callers waiting
MOST_WAITING: Final = 20_000


class CostRows(Protocol):
    """Keeps events, each once. Raises LedgerUnavailable."""

    def add(self, events: Sequence[CostEvent]) -> int: ...


class CostRecorder:
    """`note` waits for nobody and never raises; `run_forever` writes."""

    def __init__(
        self, rows: CostRows, executor: Executor, *, batch: int = BATCH, most_waiting: int = MOST_WAITING
    ) -> None:
        self._rows = rows
        self._executor = executor
        self._batch = batch
        self._waiting: deque[CostEvent] = deque(maxlen=most_waiting)
        self._dropped = 0
        self._lock = Lock()  # events are noted in threads, too

    @property
    def dropped(self) -> int:
        """How many were given up since the start, as the ledger was away for too long."""
        return self._dropped

    def note(self, events: Iterable[CostEvent]) -> None:
        """Have events written soon. Of too many that wait the oldest go."""
        with self._lock:
            for event in events:
                if len(self._waiting) == self._waiting.maxlen:
                    self._dropped += 1
                self._waiting.append(event)

    async def flush(self) -> int:
        """Write what waits, in batches; returns how many events were written. While the ledger is away they wait on.

        An event may be written twice, which counts once: it is taken out only when the ledger has it.
        """
        written = 0
        while self._waiting:
            with self._lock:
                batch = list(islice(self._waiting, self._batch))
            try:
                await run_in(self._executor, self._rows.add, batch)
            except LedgerUnavailable:
                logger.warning("costs.ledger_away", extra={"waiting": len(self._waiting)})
                return written
            self._take_out(batch)
            written += len(batch)
        return written

    async def run_forever(self, every_s: float = EVERY_S) -> None:
        """Write every few seconds. What the ledger refuses for good is dropped and told, so that nothing is stuck."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - outermost loop: no cost event may stop the ones after it
                lost = self._give_up()
                logger.warning("costs.lost", extra={"error": type(error).__name__, "events": lost})

    def _take_out(self, batch: Sequence[CostEvent]) -> None:
        """What was noted while the ledger wrote may have pushed out some of the batch already."""
        with self._lock:
            for event in batch:
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()

    def _give_up(self) -> int:
        with self._lock:
            lost = len(self._waiting)
            self._waiting.clear()
            self._dropped += lost
        return lost
