"""Wake-ups within one process, so that nobody here waits for the next poll. Other processes go on polling."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakKeyDictionary


class Wakeup:
    """Rung whenever there may be something to do; a ring that nobody waits for is kept for the next who does."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until it rings, at most `timeout_s`."""
        await heard(self._event, timeout_s)


class JobWakeups:
    """A wakeup for each caller who waits for a job: one who has heard takes the ring from nobody who still looks."""

    def __init__(self) -> None:
        self._waiting: WeakKeyDictionary[asyncio.Event, str] = WeakKeyDictionary()

    def ring(self, job_id: str) -> None:
        """Wake whoever waits for the job, which has ended."""
        for event, awaited in tuple(self._waiting.items()):
            if awaited == job_id:
                event.set()

    def of(self, job_id: str) -> asyncio.Event:
        """A wakeup, to be held while waiting. Ask for it before looking at the job, or a ring is missed."""
        event = asyncio.Event()
        self._waiting[event] = job_id
        return event


async def heard(wakeup: asyncio.Event, timeout_s: float) -> bool:
    """Whether the job's wakeup rings within `timeout_s`; a ring before the wait counts, and each counts once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await wakeup.wait()
            wakeup.clear()
            return True
    return False
