"""Work that the controller does beside the rollouts, again and again, each in a thread of its own: none waits for
another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from core.errors import SerinusError

logger = logging.getLogger("serinus.chores")


class Chore:
    """Calls `work` every `every_s` seconds, for the first time after `first_after_s`."""

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        every_s: float,
        *,
        first_after_s: float = 0.0,
        executor: Executor | None = None,
    ) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._first_after_s = first_after_s
        self._executor = executor or ThreadPoolExecutor(1, name)

    async def run_forever(self) -> None:
        await asyncio.sleep(self._first_after_s)
        while True:
            await self.once()
            await asyncio.sleep(self._every_s)

    async def once(self) -> None:
        """Do it now. What fails is logged by its code, and made up for by the next time."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._work)
        except SerinusError as error:
            logger.warning("chore.failed", extra={"chore": self._name, "error": error.code})
        except Exception as error:
            logger.exception("chore.failed", extra={"chore": self._name, "error": type(error).__name__})

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def while_leading(leads: Callable[[], bool], work: Callable[[], None]) -> Callable[[], None]:
    """`work`, left out while another controller leads; `leads` asks the ledger and may raise LedgerUnavailable."""

    def led() -> None:
        if leads():
            work()

    return led


def beside_the_load(
    is_busy: Callable[[], bool],
    work: Callable[[], None],
    longest_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], None]:
    """`work`, put off while `is_busy`, but not for longer than `longest_s`: the site may never be idle."""
    done_at = clock()

    def put_off() -> None:
        nonlocal done_at
        if clock() - done_at >= longest_s or not is_busy():
            work()
            done_at = clock()

    return put_off
