"""A gate with a number of slots, which it gives in the order in which work is to begin (`core.priority`).

STAT enters before all that waits. Of the rest a study is overtaken only by what its priority's delay allows, and by
STAT. Each source has a lane: work that waits for its source counts in its lane only, and its slot serves other lanes,
so that a source that hangs holds up its own studies and no others.

    waits ──► holds a slot ──► ends            a lane takes in as many pieces of work as the gate has slots
                 │     ▲
                 └─────┘   at its source: the slot serves other lanes; lent: it serves all

The gate belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from core.priority import QueueOrder

LENT_PER_SLOT: Final = 4  # what waits on a lent slot holds memory: a study in the object store
RETURNING: Final = "(returning)"  # the lane of what has begun and wants its slot back; no source is called so


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the queue: by order, and among equals by arrival."""

    order: QueueOrder
    arrival: int


@dataclass(frozen=True, slots=True)
class LaneState:
    """How many pieces of work of a lane have begun and not ended, and the place of the first that waits."""

    begun: int
    first: Place | None


def next_lane(lanes: Mapping[str, LaneState], most_begun: int) -> str | None:
    """Whose first waiter gets a slot that is free: the first in the order, of the lanes that are not full."""
    first_by_lane = {
        name: lane.first for name, lane in lanes.items() if lane.first is not None and lane.begun < most_begun
    }
    return min(first_by_lane, key=first_by_lane.__getitem__, default=None)


@dataclass(frozen=True, slots=True, order=True)
class _Waiter:
    place: Place
    granted: asyncio.Future[None] = field(compare=False)


class _Lane:
    """The work of one source: a heap of what waits, and a count of what has begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.waiting = 0
        self._waiters: list[_Waiter] = []  # who has left is passed over when his turn comes

    @property
    def state(self) -> LaneState:
        while self._waiters and self._waiters[0].granted.done():
            heapq.heappop(self._waiters)
        return LaneState(self.begun, self._waiters[0].place if self._waiters else None)

    def add(self, place: Place) -> asyncio.Future[None]:
        waiter = _Waiter(place, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiters, waiter)
        self.waiting += 1
        return waiter.granted

    def grant(self) -> None:
        """Let the first that waits begin; `state` has passed over those who left."""
        heapq.heappop(self._waiters).granted.set_result(None)
        self.waiting -= 1

    def leave(self) -> None:
        """One has left. Thousands may leave at once, so none searches the heap for his place."""
        self.waiting -= 1
        if self.waiting == 0:
            self._waiters.clear()


class PriorityGate:
    """Lets `slots` pieces of work run at a time, beside what waits for its source."""

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError("a gate has at least one slot")
        self._slots = slots
        self._free = slots
        self._lent = 0
        self._lanes: dict[str, _Lane] = {}
        self._arrivals = itertools.count()

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._free

    @property
    def full_lanes(self) -> frozenset[str]:
        """The lanes of which nothing more may begin now, though a slot be free."""
        return frozenset(name for name, lane in self._lanes.items() if lane.begun >= self._slots)

    @property
    def can_lend(self) -> bool:
        """Whether one more slot may be lent. The gate itself refuses nobody."""
        return self._lent < self._slots * LENT_PER_SLOT

    @property
    def waiting(self) -> int:
        """How many wait for a slot, those that want theirs back included."""
        return sum(lane.waiting for lane in self._lanes.values())

    @asynccontextmanager
    async def slot(self, order: QueueOrder, lane: str = "") -> AsyncIterator[Slot]:
        """Hold a slot for the time of the block; whoever is cancelled while waiting holds none."""
        slot = Slot(self, lane, Place(order, next(self._arrivals)))
        await slot.begin()
        try:
            yield slot
        finally:
            slot.end()

    async def _take(self, name: str, place: Place) -> None:
        """Wait for a slot in the lane. Nobody who could have one waits while one is free."""
        lane = self._lanes.setdefault(name, _Lane())
        if self._free > 0 and lane.begun < self._slots:
            self._begin(name)
            return
        granted = lane.add(place)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                lane.leave()
                self._forget(name)
            else:  # the slot was granted in the moment of the cancellation
                self._count(name, -1)
                self._give_back()
            raise

    def _begin(self, name: str) -> None:
        self._free -= 1
        self._count(name, 1)

    def _give_back(self) -> None:
        self._free += 1
        self._grant()

    def _count(self, name: str, number: int) -> None:
        """Note that work of the lane has begun or ended; what comes back is counted in its own lane."""
        if name != RETURNING:
            self._lanes.setdefault(name, _Lane()).begun += number
        self._forget(name)

    def _grant(self) -> None:
        """Let those begin who may, as far as slots are free."""
        while self._free > 0:
            name = next_lane({name: lane.state for name, lane in self._lanes.items()}, self._slots)
            if name is None:
                return
            self._lanes[name].grant()
            self._begin(name)

    def _forget(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is not None and lane.begun == lane.waiting == 0:
            del self._lanes[name]


class Slot:
    """One slot of a gate, held by one piece of work."""

    def __init__(self, gate: PriorityGate, lane: str, place: Place) -> None:
        self._gate = gate
        self._lane = lane
        self._place = place
        self._is_held = False
        self._is_counted = False  # in its lane

    @property
    def can_be_lent(self) -> bool:
        """False while so many slots are lent that their studies would fill the memory."""
        return self._gate.can_lend

    async def begin(self) -> None:
        await self._gate._take(self._lane, self._place)
        self._is_held = self._is_counted = True

    def end(self) -> None:
        self._leave(lane=True)

    @asynccontextmanager
    async def at_source(self) -> AsyncIterator[None]:
        """Let other lanes use the slot while this work waits for its source, then take one again."""
        async with self._given_up(lane=False):
            yield

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Let all others use the slot for the time of the block, then take one again."""
        async with self._given_up(lane=True):
            self._gate._lent += 1
            try:
                yield
            finally:
                self._gate._lent -= 1

    @asynccontextmanager
    async def _given_up(self, *, lane: bool) -> AsyncIterator[None]:
        """Without the slot, and its place in the lane, during the block. It comes back to its old place in the queue.

        A cancelled holder does not wait for it again.
        """
        self._leave(lane=lane)
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException:
            await self._come_back()
            raise
        await self._come_back()

    async def _come_back(self) -> None:
        await self._gate._take(RETURNING, self._place)
        self._is_held = True
        if not self._is_counted:
            self._is_counted = True
            self._gate._count(self._lane, 1)

    def _leave(self, *, lane: bool) -> None:
        if lane and self._is_counted:
            self._is_counted = False
            self._gate._count(self._lane, -1)
        if self._is_held:
            self._is_held = False
            self._gate._give_back()
        else:
            self._gate._grant()  # its lane may have room now
