"""Wake-ups within one process, so that nobody here waits for the next poll. Other processes go on polling."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary


class Wakeup:
    """Rung whenever there may be something to do; a ring that nobody waits for is kept for the next who does."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until it rings, at most `timeout_s`."""
        await _until(self._event, timeout_s)
        self._event.clear()


class JobWakeups:
    """One wakeup per job that somebody waits for."""

    def __init__(self) -> None:
        self._events: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()

    def ring(self, job_id: str) -> None:
        """Wake whoever waits for the job, which has ended."""
        event = self._events.get(job_id)
        if event is not None:
            event.set()

    def of(self, job_id: str) -> asyncio.Event:
        """The job's wakeup, to be held while waiting. Ask for it before looking at the job, or a ring is missed."""
        return self._events.setdefault(job_id, asyncio.Event())


async def _until(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


async def heard(wakeup: asyncio.Event, timeout_s: float) -> None:
    """Wait until the job's wakeup rings, at most `timeout_s`; one that rang before counts once."""
    await _until(wakeup, timeout_s)
    wakeup.clear()
