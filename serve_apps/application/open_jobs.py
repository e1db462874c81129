"""How full the ledger is, without counting its open jobs for every one that comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Final

from core.errors import Overloaded, SerinusError
from serve_apps.application.executors import run_in

COUNT_AGAIN_S: Final = 0.25
TRUSTED_S: Final = 5.0  # so old a count may be while another is made, as long as the ledger was far from full
FAR_FROM_FULL: Final = 4  # a fourth of what it may hold


class OpenJobs:
    """Refuses what is too much. The jobs are counted some times a second, and again before any refusal.

    While the ledger is far from full, nobody waits for the count.
    """

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
        self._counting: asyncio.Task[None] | None = None

    async def require_room(self) -> None:
        """Make room for one more job. Raises Overloaded."""
        age_s = self._clock() - self._counted_at
        if age_s < TRUSTED_S and self._number < self._most // FAR_FROM_FULL:
            if age_s >= COUNT_AGAIN_S and (self._counting is None or self._counting.done()):
                self._counting = asyncio.create_task(self._count_beside())
        elif age_s >= COUNT_AGAIN_S or self._number >= self._most:
            await self._count_now()
        if self._number >= self._most:
            raise Overloaded("too many open jobs; nothing was accepted")
        self._number += 1

    async def _count_now(self) -> None:
        self._number = await run_in(self._executor, self._count)
        self._counted_at = self._clock()

    async def _count_beside(self) -> None:
        with suppress(SerinusError):  # whoever submits hears himself that the ledger is away
            await self._count_now()
