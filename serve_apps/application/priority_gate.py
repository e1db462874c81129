"""A gate with a number of slots, which it gives in the order in which work is to begin (`core.priority`).

STAT enters before all that waits. Of the rest a study is overtaken only by what its priority's delay allows, and by
STAT. The gate belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from core.priority import QueueOrder

LENT_PER_SLOT: Final = 4  # what waits on a lent slot holds memory: a study in the object store


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A place in the queue: by order, and among equals by arrival."""

    order: QueueOrder
    arrival: int


@dataclass(frozen=True, slots=True, order=True)
class _Waiter:
    place: _Place
    granted: asyncio.Future[None] = field(compare=False)


class PriorityGate:
    """Lets `slots` pieces of work run at a time."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError("a gate has at least one slot")
        self._free = slots
        self._most_lent = slots * LENT_PER_SLOT
        self._lent = 0
        self._waiters: list[_Waiter] = []  # a heap; who has left is passed over when his turn comes
        self._left = 0
        self._arrivals = itertools.count()

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._free

    @property
    def can_lend(self) -> bool:
        """Whether one more slot may be lent. The gate itself refuses nobody."""
        return self._lent < self._most_lent

    @property
    def waiting(self) -> int:
        """How many wait for a slot, lenders that want theirs back included."""
        return len(self._waiters) - self._left

    @asynccontextmanager
    async def slot(self, order: QueueOrder) -> AsyncIterator[Slot]:
        """Hold a slot for the time of the block; whoever is cancelled while waiting holds none."""
        slot = Slot(self, _Place(order, next(self._arrivals)))
        await slot.take()
        try:
            yield slot
        finally:
            slot.give_back()

    async def _take(self, place: _Place) -> None:
        if self._free > 0:
            self._free -= 1
            return
        waiter = _Waiter(place, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def _leave(self, waiter: _Waiter) -> None:
        """Thousands may leave at once, so none searches the queue for his place."""
        if waiter.granted.cancelled():
            self._left += 1
            if self._left == len(self._waiters):
                self._waiters.clear()
                self._left = 0
        else:  # the slot was granted in the moment of the cancellation
            self._give()

    def _give(self) -> None:
        while self._waiters:
            waiter = heapq.heappop(self._waiters)
            if not waiter.granted.done():
                waiter.granted.set_result(None)
                return
            self._left -= 1
        self._free += 1


class Slot:
    """One slot of a gate, held by one piece of work."""

    def __init__(self, gate: PriorityGate, place: _Place) -> None:
        self._gate = gate
        self._place = place
        self._is_held = False

    @property
    def can_be_lent(self) -> bool:
        """False while so many slots are lent that their studies would fill the memory."""
        return self._gate.can_lend

    async def take(self) -> None:
        await self._gate._take(self._place)
        self._is_held = True

    def give_back(self) -> None:
        if self._is_held:
            self._is_held = False
            self._gate._give()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Give the slot to others for the time of the block, then take one again at the old place in the queue.

        A cancelled holder does not wait for it again.
        """
        self.give_back()
        self._gate._lent += 1
        try:
            yield
        except asyncio.CancelledError:
            self._gate._lent -= 1
            raise
        except BaseException:
            await self._take_back()
            raise
        await self._take_back()

    async def _take_back(self) -> None:
        self._gate._lent -= 1
        await self.take()
