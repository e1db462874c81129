"""How full the ledger is, without counting its open jobs for every one that comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from core.errors import Overloaded
from serve_apps.application.executors import run_in

COUNT_AGAIN_S: Final = 0.25


class OpenJobs:
    """Refuses what is too much. The jobs are counted some times a second, and again before any refusal."""

    def __init__(
        self,
        count: Callable[[], int],
        most: int,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._most = most
        self._executor = executor
        self._clock = clock
        self._number = most
        self._counted_at = float("-inf")

    async def require_room(self) -> None:
        """Make room for one more job. Raises Overloaded."""
        is_fresh = self._clock() - self._counted_at < COUNT_AGAIN_S
        if not is_fresh or self._number >= self._most:
            self._number = await run_in(self._executor, self._count)
            self._counted_at = self._clock()
        if self._number >= self._most:
            raise Overloaded("too many open jobs; nothing was accepted")
        self._number += 1
