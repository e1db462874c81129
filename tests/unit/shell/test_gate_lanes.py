"""Each source has a lane through the gate: one that hangs holds up its own work and no other, in the order of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SourceUnavailable
from core.priority import PRIORITY_DELAY_S, Priority, QueueOrder, queue_order
from serve_apps.application.priority_gate import LaneState, Place, PriorityGate, next_lane
from tests.unit.shell.inline import settle

START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES = ("hangs", "works", "third")
ARRIVALS = st.lists(
    st.tuples(st.sampled_from(Priority), st.integers(0, 5000), st.sampled_from(SOURCES)),
    min_size=1,
    max_size=20,
)
Arrival = tuple[Priority, int, str]


def at(seconds: float, priority: Priority = Priority.ROUTINE) -> QueueOrder:
    return queue_order(priority, START + timedelta(seconds=seconds))


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.tuples(st.integers(0, 3), st.none() | st.tuples(st.sampled_from(Priority), st.integers(0, 9))),
    ),
    st.integers(1, 3),
)
def test_the_first_of_all_whose_lane_has_room_is_next(
    lanes: dict[str, tuple[int, tuple[Priority, int] | None]], most: int
) -> None:
    states = {
        name: LaneState(begun, None if first is None else Place(at(first[1], first[0]), ord(name)))
        for name, (begun, first) in lanes.items()
    }
    chosen = next_lane(states, most)
    may_begin = {name: s.first for name, s in states.items() if s.first is not None and s.begun < most}
    if chosen is None:
        assert not may_begin
    else:
        assert may_begin[chosen] == min(may_begin.values())


class Site:
    """A gate, and work of several sources of which those that hang never answer."""

    def __init__(self, slots: int, hanging: set[str]) -> None:
        self.gate = PriorityGate(slots)
        self.slots = slots
        self.hanging = hanging
        self.answers = asyncio.Event()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.at_source: dict[str, int] = dict.fromkeys(SOURCES, 0)
        self.working = 0

    async def read(self, number: int, arrival: Arrival) -> None:
        priority, second, source = arrival
        async with self.gate.slot(at(second, priority), source) as slot:
            self.begun.append(number)
            async with slot.at_source():
                self.at_source[source] += 1
                assert self.at_source[source] <= self.slots, "a source is asked for too much at a time"
                if source in self.hanging:
                    await self.answers.wait()
                self.at_source[source] -= 1
            self.working += 1
            assert self.working <= self.slots
            await asyncio.sleep(0)
            self.working -= 1
        self.ended.append(number)


async def all_arrive(site: Site, arrivals: list[Arrival]) -> list[asyncio.Task[None]]:
    """All wait behind one piece of work of another source, and are let in at once."""
    async with site.gate.slot(at(0), "before"):
        others = [site.gate.slot(at(0), "before") for _ in range(site.slots - 1)]
        for other in others:
            await other.__aenter__()
        tasks = [asyncio.create_task(site.read(number, arrival)) for number, arrival in enumerate(arrivals)]
        await settle()
        assert site.begun == []
        for other in others:
            await other.__aexit__(None, None, None)
    return tasks


async def until(done: Callable[[], bool]) -> None:
    await settle()
    for _ in range(40):
        if done():
            return
        await settle()


def read_all(slots: int, arrivals: list[Arrival]) -> Site:
    """The site when everything that can end has ended; then its hanging sources answer, and all ends."""

    async def run() -> Site:
        site = Site(slots, {"hangs"})
        tasks = await all_arrive(site, arrivals)
        free = [number for number, (*_, source) in enumerate(arrivals) if source != "hangs"]
        await until(lambda: set(free) <= set(site.ended))
        assert sorted(site.ended) == free, "a source that hangs held up another, or lost its own"
        assert site.gate.free == slots, "who waits for a source keeps no slot from others"
        begun = list(site.begun)
        site.answers.set()
        await asyncio.gather(*tasks)
        assert (site.gate.free, site.gate.waiting, site.gate.full_lanes) == (slots, 0, frozenset())
        site.begun = begun
        return site

    return asyncio.run(run())


@settings(max_examples=60)
@given(st.integers(1, 3), ARRIVALS)
def test_whatever_one_source_does_all_work_of_the_others_is_done(slots: int, arrivals: list[Arrival]) -> None:
    site = read_all(slots, arrivals)
    hung = [number for number in site.begun if arrivals[number][2] == "hangs"]
    assert len(hung) == min(slots, sum(source == "hangs" for *_, source in arrivals))


@settings(max_examples=60)
@given(st.integers(1, 3), ARRIVALS)
def test_within_a_lane_stat_is_first_and_the_wait_of_the_rest_is_bounded(
    slots: int, arrivals: list[Arrival]
) -> None:
    begun = read_all(slots, arrivals).begun
    for place, number in enumerate(begun):
        priority, second, source = arrivals[number]
        for earlier in begun[:place]:
            other, other_second, other_source = arrivals[earlier]
            if other_source == source and other is not Priority.STAT:
                assert priority is not Priority.STAT
                assert other_second - second <= PRIORITY_DELAY_S[priority]


@settings(max_examples=60)
@given(ARRIVALS)
def test_where_nobody_waits_for_a_source_the_lanes_change_nothing(arrivals: list[Arrival]) -> None:
    async def run() -> list[int]:
        gate, begun = PriorityGate(1), []

        async def work(number: int) -> None:
            priority, second, source = arrivals[number]
            async with gate.slot(at(second, priority), source):
                begun.append(number)

        async with gate.slot(at(0), "before"):
            tasks = [asyncio.create_task(work(number)) for number in range(len(arrivals))]
            await settle()
        await asyncio.gather(*tasks)
        return begun

    orders = [at(arrivals[number][1], arrivals[number][0]) for number in asyncio.run(run())]
    assert orders == sorted(orders)


async def test_who_waits_for_its_source_lets_others_in_and_its_own_lane_not() -> None:
    gate, answer = PriorityGate(1), asyncio.Event()
    entered: list[str] = []

    async def hang() -> None:
        async with gate.slot(at(0), "hangs") as slot, slot.at_source():
            await answer.wait()

    async def enter(source: str) -> None:
        async with gate.slot(at(1), source):
            entered.append(source)

    hanging = asyncio.create_task(hang())
    await settle()
    tasks = [asyncio.create_task(enter(source)) for source in ("hangs", "works")]
    await settle()
    assert (entered, gate.full_lanes, gate.waiting) == (["works"], {"hangs"}, 1)
    answer.set()
    await asyncio.gather(hanging, *tasks)
    assert entered == ["works", "hangs"]


async def test_who_comes_back_from_its_source_has_its_old_place() -> None:
    gate, answer, leave = PriorityGate(1), asyncio.Event(), asyncio.Event()
    worked: list[str] = []

    async def first() -> None:
        async with gate.slot(at(0), "a") as slot:
            async with slot.at_source():
                await answer.wait()
            worked.append("first")

    async def work(name: str, second: float) -> None:
        async with gate.slot(at(second), name):
            worked.append(name)
            await leave.wait()

    tasks = [asyncio.create_task(first())]
    await settle()
    tasks += [asyncio.create_task(work("b", 1)), asyncio.create_task(work("c", 2))]
    await settle()
    answer.set()
    await settle()
    leave.set()
    await asyncio.gather(*tasks)
    assert worked == ["b", "first", "c"]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_work_that_ends_at_its_source_makes_room_in_its_lane(end: str) -> None:
    gate, answer = PriorityGate(1), asyncio.Event()

    async def hang() -> None:
        async with gate.slot(at(0), "hangs") as slot, slot.at_source():
            await answer.wait()
            raise SourceUnavailable("away")

    hanging, waiting = asyncio.create_task(hang()), asyncio.create_task(hang())
    await settle()
    assert gate.waiting == 1
    if end == "cancelled":
        hanging.cancel()
    answer.set()
    with suppress(asyncio.CancelledError, SourceUnavailable):
        await hanging
    with pytest.raises(SourceUnavailable):
        await asyncio.wait_for(waiting, 5)
    assert (gate.free, gate.waiting, gate.full_lanes) == (1, 0, frozenset())


async def test_a_lane_may_use_every_slot_when_it_is_alone() -> None:
    gate, leave = PriorityGate(3), asyncio.Event()

    async def work() -> None:
        async with gate.slot(at(0), "a"):
            await leave.wait()

    tasks = [asyncio.create_task(work()) for _ in range(4)]
    await settle()
    assert (gate.free, gate.waiting) == (0, 1)
    leave.set()
    await asyncio.gather(*tasks)
