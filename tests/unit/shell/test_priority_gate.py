"""The gate gives its slots in the order in which work is to begin, and loses none of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ModelFailed
from core.priority import PRIORITY_DELAY_S, Priority, QueueOrder, queue_order
from serve_apps.application.priority_gate import LENT_PER_SLOT, PriorityGate, Slot

START = datetime(2026, 1, 1, tzinfo=UTC)
ARRIVALS = st.lists(st.tuples(st.sampled_from(Priority), st.integers(0, 5000)), min_size=1, max_size=30)


def at(seconds: float, priority: Priority = Priority.ROUTINE) -> QueueOrder:
    return queue_order(priority, START + timedelta(seconds=seconds))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def begun_in_order(arrivals: list[tuple[Priority, int]]) -> list[int]:
    """Which arrival begins when, if all of them wait behind one piece of work."""

    async def run() -> list[int]:
        gate, begun = PriorityGate(1), []

        async def work(index: int) -> None:
            priority, second = arrivals[index]
            async with gate.slot(at(second, priority)):
                begun.append(index)

        async with gate.slot(at(0)):
            tasks = [asyncio.create_task(work(index)) for index in range(len(arrivals))]
            await settle()
        await asyncio.gather(*tasks)
        assert (gate.free, gate.waiting) == (1, 0)
        return begun

    return asyncio.run(run())


@settings(max_examples=60)
@given(ARRIVALS)
def test_stat_begins_before_all_else_that_has_not_begun(arrivals: list[tuple[Priority, int]]) -> None:
    is_stat = [arrivals[index][0] is Priority.STAT for index in begun_in_order(arrivals)]
    assert is_stat == sorted(is_stat, reverse=True)


@settings(max_examples=60)
@given(ARRIVALS)
def test_a_study_waits_only_for_stat_and_for_what_came_within_its_priority_s_delay(
    arrivals: list[tuple[Priority, int]],
) -> None:
    begun = begun_in_order(arrivals)
    for place, index in enumerate(begun):
        priority, second = arrivals[index]
        for earlier in begun[:place]:
            other, other_second = arrivals[earlier]
            overtook_by_s = other_second - second
            assert other is Priority.STAT or overtook_by_s <= PRIORITY_DELAY_S[priority]


@settings(max_examples=60)
@given(
    slots=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(("start", "end", "cancel", "lend", "return")), st.integers(0, 9))
    ),
)
def test_no_slot_is_lost_or_given_twice(slots: int, steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        gate, inside = PriorityGate(slots), 0
        tasks: dict[int, tuple[asyncio.Task[None], asyncio.Event, asyncio.Event, asyncio.Event]] = {}

        async def work(end: asyncio.Event, lend: asyncio.Event, back: asyncio.Event) -> None:
            nonlocal inside
            async with gate.slot(at(0)) as slot:
                inside += 1
                assert inside <= slots
                try:
                    await lend.wait()
                finally:
                    inside -= 1
                async with slot.lent():
                    await back.wait()
                inside += 1
                assert inside <= slots
                try:
                    await end.wait()
                finally:
                    inside -= 1

        for number, (step, key) in enumerate(steps):
            if step == "start":
                events = (asyncio.Event(), asyncio.Event(), asyncio.Event())
                tasks[number] = (asyncio.create_task(work(*events)), *events)
            elif tasks:
                task, end, lend, back = list(tasks.values())[key % len(tasks)]
                if step == "cancel":
                    task.cancel()
                else:
                    {"end": end, "lend": lend, "return": back}[step].set()
            await settle()
        for task, *_ in tasks.values():
            task.cancel()
        outcomes = await asyncio.gather(*(task for task, *_ in tasks.values()), return_exceptions=True)
        assert not [o for o in outcomes if isinstance(o, AssertionError)]
        assert (gate.free, gate.waiting, gate._lent) == (slots, 0, 0)

    asyncio.run(run())


async def test_a_lent_slot_serves_others_and_comes_back_in_its_old_order() -> None:
    gate, begun = PriorityGate(1), []
    back = asyncio.Event()

    async def lender() -> None:
        async with gate.slot(at(0)) as slot:
            async with slot.lent():
                await back.wait()
            begun.append("lender again")

    async def work(name: str, second: float, hold: asyncio.Event) -> None:
        async with gate.slot(at(second)):
            begun.append(name)
            await hold.wait()

    first, second = asyncio.Event(), asyncio.Event()
    second.set()
    tasks = [asyncio.create_task(lender())]
    await settle()
    tasks += [
        asyncio.create_task(work("younger", 1, first)),
        asyncio.create_task(work("youngest", 2, second)),
    ]
    await settle()
    assert begun == ["younger"]
    back.set()
    await settle()
    first.set()
    await asyncio.gather(*tasks)
    assert begun == ["younger", "lender again", "youngest"]


async def test_a_slot_comes_back_when_what_it_was_lent_for_fails() -> None:
    gate = PriorityGate(1)
    async with gate.slot(at(0)) as slot:

        async def ask_a_canary() -> None:
            async with slot.lent():
                assert gate.free == 1
                raise ModelFailed("the canary failed")

        with pytest.raises(ModelFailed):
            await ask_a_canary()
        assert gate.free == 0
    assert gate.free == 1


async def test_a_slot_granted_in_the_moment_of_a_cancellation_goes_to_the_next() -> None:
    gate = PriorityGate(1)
    held = gate.slot(at(0))
    await held.__aenter__()

    async def work() -> None:
        async with gate.slot(at(1)):
            await asyncio.sleep(0)

    unlucky, lucky = asyncio.create_task(work()), asyncio.create_task(work())
    await settle()
    await held.__aexit__(None, None, None)
    unlucky.cancel()
    await asyncio.wait_for(lucky, 5)
    assert (gate.free, gate.waiting) == (1, 0)


class CountedOrder(QueueOrder):
    """A place in the queue that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedOrder.compared += 1
        return self is other

    __hash__ = QueueOrder.__hash__


async def test_thousands_may_leave_the_queue_at_once() -> None:
    """A worker that is replaced hands back all that waits; to search the queue for each would block it."""
    gate, number = PriorityGate(1), 200
    async with gate.slot(at(0)):
        orders = [CountedOrder(1, at(second).scheduled_at) for second in range(number)]
        waiting = [asyncio.create_task(_take_and_leave(gate, order)) for order in orders]
        await settle()
        assert gate.waiting == number
        compared = CountedOrder.compared
        for task in reversed(waiting[1:]):
            task.cancel()
        await asyncio.wait(waiting[1:])
        assert CountedOrder.compared == compared
        assert gate.waiting == 1
    await asyncio.wait_for(waiting[0], 5)
    assert (gate.free, gate.waiting) == (1, 0)


async def _take_and_leave(gate: PriorityGate, order: QueueOrder) -> None:
    async with gate.slot(order):
        pass


async def test_a_gate_says_when_too_many_slots_are_lent() -> None:
    gate, back = PriorityGate(1), asyncio.Event()
    said: list[bool] = []

    async def lend(slot: Slot) -> None:
        async with slot.lent():
            await back.wait()

    async def work(second: float) -> None:
        async with gate.slot(at(second)) as slot:
            said.append(slot.can_be_lent)
            if slot.can_be_lent:
                await lend(slot)

    tasks = [asyncio.create_task(work(second)) for second in range(LENT_PER_SLOT + 1)]
    await settle()
    assert said == [True] * LENT_PER_SLOT + [False]
    back.set()
    await asyncio.gather(*tasks)
    assert gate.can_lend
