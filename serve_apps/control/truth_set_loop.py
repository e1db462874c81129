"""While this controller leads: starts the runs of ground-truth sets that are due, and keeps the results of those that
ended. In a thread of its own, once a minute; what was missed is made up for at the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from typing import Final, Protocol

from core.clock import now
from core.errors import SerinusError
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.truth_sets")
ACTOR: Final = "schedule"
LOOK_INTERVAL_S: Final = 60.0


class Runs(Protocol):
    """`application.truth_set_runs.TruthSetRunner`. Both raise LedgerUnavailable."""

    def start_due(self, snapshot: RoutingSnapshot, at: datetime, *, actor: str) -> Sequence[object]: ...
    def settle(self) -> int: ...


class TruthSetLoop:
    """`leads` asks the ledger; `snapshot` is what was published last."""

    def __init__(
        self,
        runs: Runs,
        leads: Callable[[], bool],
        snapshot: Callable[[], RoutingSnapshot],
        executor: Executor | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._runs = runs
        self._leads = leads
        self._snapshot = snapshot
        self._executor = executor or ThreadPoolExecutor(1, "truth-sets")
        self._clock = clock

    async def run_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            await self.once()

    async def once(self) -> None:
        """One look."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._look)
        except SerinusError as error:
            logger.warning("truth_sets.not_looked", extra={"error": error.code})
        except Exception as error:
            logger.exception("truth_sets.not_looked", extra={"error": type(error).__name__})

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> None:
        if not self._leads():
            return
        settled = self._runs.settle()
        started = self._runs.start_due(self._snapshot(), self._clock(), actor=ACTOR)
        if settled or started:
            logger.info("truth_sets.looked", extra={"settled": settled, "started": len(started)})
