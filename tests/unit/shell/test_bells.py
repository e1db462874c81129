"""A ring is heard at once, is never missed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc

from serve_apps.bells import Bell, JobBells, heard

LONG_S = 60.0


async def test_a_ring_before_the_wait_is_heard() -> None:
    bell = Bell()
    bell.ring()
    await asyncio.wait_for(bell.wait(LONG_S), 5)


async def test_a_ring_is_heard_once() -> None:
    bell = Bell()
    bell.ring()
    await bell.wait(LONG_S)
    waiting = asyncio.create_task(bell.wait(LONG_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring()
    await asyncio.wait_for(waiting, 5)


async def test_all_who_wait_for_a_job_hear_its_bell_and_nobody_elses() -> None:
    bells = JobBells()
    mine = [asyncio.create_task(heard(bells.of("a"), LONG_S)) for _ in range(3)]
    other = asyncio.create_task(heard(bells.of("b"), LONG_S))
    await asyncio.sleep(0)
    bells.ring("a")
    await asyncio.wait_for(asyncio.gather(*mine), 5)
    assert not other.done()
    other.cancel()


async def test_a_job_that_ends_between_asking_and_waiting_is_not_missed() -> None:
    bells = JobBells()
    bell = bells.of("a")
    bells.ring("a")
    await asyncio.wait_for(heard(bell, LONG_S), 5)


async def test_a_bell_that_nobody_holds_is_gone() -> None:
    bells = JobBells()
    bells.of("a")
    gc.collect()
    bells.ring("a")
    assert len(bells._events) == 0
