"""A ring is heard at once, is never missed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import weakref

from serve_apps.application.wakeups import JobWakeups, Wakeup, heard

LONG_S = 60.0


async def test_a_ring_before_the_wait_is_heard() -> None:
    wakeup = Wakeup()
    wakeup.ring()
    await asyncio.wait_for(wakeup.wait(LONG_S), 5)


async def test_a_ring_is_heard_once() -> None:
    wakeup = Wakeup()
    wakeup.ring()
    await wakeup.wait(LONG_S)
    waiting = asyncio.create_task(wakeup.wait(LONG_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    wakeup.ring()
    await asyncio.wait_for(waiting, 5)


async def test_all_who_wait_for_a_job_hear_of_its_end_and_of_no_other() -> None:
    wakeups = JobWakeups()
    mine = [asyncio.create_task(heard(wakeups.of("a"), LONG_S)) for _ in range(3)]
    other = asyncio.create_task(heard(wakeups.of("b"), LONG_S))
    await asyncio.sleep(0)
    wakeups.ring("a")
    await asyncio.wait_for(asyncio.gather(*mine), 5)
    assert not other.done()
    other.cancel()


async def test_a_job_that_ends_between_asking_and_waiting_is_not_missed() -> None:
    wakeups = JobWakeups()
    wakeup = wakeups.of("a")
    wakeups.ring("a")
    await asyncio.wait_for(heard(wakeup, LONG_S), 5)


async def test_who_hears_of_the_end_first_takes_the_ring_from_nobody() -> None:
    """One caller waits already; the other still reads the job when it ends, and waits then."""
    wakeups = JobWakeups()
    reads = wakeups.of("a")
    waits = asyncio.create_task(heard(wakeups.of("a"), LONG_S))
    await asyncio.sleep(0)
    wakeups.ring("a")
    await asyncio.wait_for(waits, 5)
    await asyncio.wait_for(heard(reads, LONG_S), 5)


async def test_an_event_that_nobody_holds_is_gone() -> None:
    wakeups = JobWakeups()
    forgotten = weakref.ref(wakeups.of("a"))
    assert forgotten() is None
    wakeups.ring("a")
