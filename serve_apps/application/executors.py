"""Blocking work in a named executor that a deployment gives, never in the default pool that Serve shares with all."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from core.errors import LedgerUnavailable

LEDGER_PATIENCE_S: Final = 5.0
P = ParamSpec("P")
T = TypeVar("T")


class LedgerThreads(ThreadPoolExecutor):
    """Threads for the ledger's calls. A call that waited for a thread longer than `patience_s` is LedgerUnavailable.

    So a database that hangs is told to callers in seconds, however many come meanwhile.
    """

    def __init__(
        self,
        threads: int,
        patience_s: float = LEDGER_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(threads, "ledger")
        self._patience_s = patience_s
        self._clock = clock

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return super().submit(self._in_time, self._clock() + self._patience_s, partial(call, *args, **kwargs))

    def _in_time(self, end: float, call: Callable[[], T]) -> T:
        if self._clock() > end:
            raise LedgerUnavailable("the ledger did not come to this call in time")
        return call()


async def run_in(executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await `call` in a thread of `executor`, with the context variables of the caller."""
    context = contextvars.copy_context()
    bound = partial(context.run, call, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(executor, bound)
