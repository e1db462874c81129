"""Many together or one alone: never one alone beside another, and nobody waits for ever."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from serve_apps.application.alone import AloneGate


@given(guests=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=12))
def test_who_is_alone_has_no_neighbour_and_everybody_gets_in(guests: list[tuple[bool, int, bool]]) -> None:
    """Each guest stays for some turns of the event loop; some are cancelled before they could be."""
    asyncio.run(asyncio.wait_for(visit(guests), 10))


async def visit(guests: list[tuple[bool, int, bool]]) -> None:
    gate, inside, been = AloneGate(), list[bool](), set[int]()

    async def guest(number: int, alone: bool, turns: int) -> None:
        async with gate.enter(alone=alone):
            inside.append(alone)
            assert len(inside) == 1 or not any(inside)
            for _ in range(turns):
                await asyncio.sleep(0)
            inside.remove(alone)
            been.add(number)

    tasks = [asyncio.create_task(guest(n, alone, turns)) for n, (alone, turns, _) in enumerate(guests)]
    await asyncio.sleep(0)
    for task, (_, _, leaves), number in zip(tasks, guests, range(len(guests)), strict=True):
        if leaves and not inside and number not in been:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
    async with gate.enter(alone=True):
        assert inside == []
