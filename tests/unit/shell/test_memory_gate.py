"""No more is decoded at a time than a reader may hold, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.priority import Priority, QueueOrder, queue_order
from serve_apps.application.memory_gate import MemoryGate

CAPACITY = 10
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
guests = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 3), st.booleans()), max_size=12)


def routine(number: int) -> QueueOrder:
    return queue_order(Priority.ROUTINE, NOON + timedelta(seconds=number))


@given(guests=guests)
def test_what_is_inside_fits_or_is_alone_and_everybody_gets_in(guests: list[tuple[int, int, bool]]) -> None:
    """Each guest needs so much and stays for some turns of the event loop; some are cancelled while they wait."""
    asyncio.run(asyncio.wait_for(visit(guests), 10))


async def visit(guests: list[tuple[int, int, bool]]) -> None:
    gate, inside, been = MemoryGate(CAPACITY), list[int](), set[int]()

    async def guest(number: int, needed: int, turns: int) -> None:
        async with gate.room(routine(number), needed):
            inside.append(needed)
            assert sum(inside) <= CAPACITY or len(inside) == 1 or inside.count(0) == len(inside) - 1
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                inside.remove(needed)
            been.add(number)

    tasks = [asyncio.create_task(guest(n, needed, turns)) for n, (needed, turns, _) in enumerate(guests)]
    await asyncio.sleep(0)
    for number, (task, (_, _, leaves)) in enumerate(zip(tasks, guests, strict=True)):
        if leaves and number not in been:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    stayed = {number for number, (_, _, leaves) in enumerate(guests) if not leaves}
    assert stayed <= been
    async with gate.room(routine(99), CAPACITY):
        assert inside == []


async def test_stat_is_next_and_small_work_does_not_overtake_large_work() -> None:
    gate, entered = MemoryGate(CAPACITY), list[str]()
    leave = asyncio.Event()

    async def guest(name: str, order: QueueOrder, needed: int) -> None:
        async with gate.room(order, needed):
            entered.append(name)
            await leave.wait()

    stat = queue_order(Priority.STAT, NOON)
    orders = {"first": (routine(1), 6), "large": (routine(2), 9), "small": (routine(3), 1), "stat": (stat, 8)}
    async with asyncio.TaskGroup() as group:
        for name, (order, needed) in orders.items():
            group.create_task(guest(name, order, needed))
            await asyncio.sleep(0)
        assert entered == ["first"]
        leave.set()
    assert entered == ["first", "stat", "large", "small"]
