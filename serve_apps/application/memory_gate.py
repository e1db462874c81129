"""Room for work that needs memory: as much at a time as a process may hold, in the order of `core.priority`."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.priority import QueueOrder


@dataclass(frozen=True, slots=True, order=True)
class _Waiter:
    order: QueueOrder
    arrival: int
    needed_bytes: int = field(compare=False)
    granted: asyncio.Future[None] = field(compare=False)


class MemoryGate:
    """Lets in what needs no more than `capacity_bytes` together; what needs more than that is let in alone.

    The first that waits is let in first, however large it is, so that small work does not keep large work waiting
    for ever. The gate belongs to one event loop.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._free = self._capacity = capacity_bytes
        self._waiters: list[_Waiter] = []
        self._arrivals = itertools.count()

    @asynccontextmanager
    async def room(self, order: QueueOrder, needed_bytes: int) -> AsyncIterator[None]:
        """Hold so much of the capacity for the time of the block."""
        needed = min(needed_bytes, self._capacity)
        await self._take(order, needed)
        try:
            yield
        finally:
            self._give_back(needed)

    async def _take(self, order: QueueOrder, needed: int) -> None:
        waiter = _Waiter(order, next(self._arrivals), needed, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        self._let_in()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._let_in()  # it may have been what the others waited for
            else:
                self._give_back(needed)
            raise

    def _give_back(self, needed: int) -> None:
        self._free += needed
        self._let_in()

    def _let_in(self) -> None:
        while self._waiters:
            first = self._waiters[0]
            if not first.granted.done():
                if first.needed_bytes > self._free:
                    return
                self._free -= first.needed_bytes
                first.granted.set_result(None)
            heapq.heappop(self._waiters)
