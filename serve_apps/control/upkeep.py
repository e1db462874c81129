"""Deletes once an hour what the site no longer needs, in a thread of its own: no study and no alias waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor

from core.errors import SerinusError

logger = logging.getLogger("serinus.upkeep")
ACTOR = "retention"
Purge = Callable[[str], Mapping[str, int]]


class Upkeep:
    """`purge` is `SitePurge.purge`. The first time comes an interval after the start."""

    def __init__(self, purge: Purge, interval_s: float, executor: Executor | None = None) -> None:
        self._purge = purge
        self._interval_s = interval_s
        self._executor = executor or ThreadPoolExecutor(1, "upkeep")

    async def run_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.once()

    async def once(self) -> None:
        """Purge; what fails is tried again the next time."""
        try:
            deleted = await asyncio.get_running_loop().run_in_executor(self._executor, self._purge, ACTOR)
            logger.info("upkeep.purged", extra={name: number for name, number in deleted.items() if number})
        except SerinusError as error:
            logger.warning("upkeep.failed", extra={"error": error.code})
        except Exception as error:
            logger.exception("upkeep.failed", extra={"error": type(error).__name__})

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
