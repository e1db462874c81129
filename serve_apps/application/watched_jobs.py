"""The jobs whose end somebody waits for: each Ingress that has such a caller says so, and is told once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

KEEP_S: Final = 310.0  # a little longer than the longest wait that a caller may ask for
MOST_JOBS: Final = 10_000


class JobEnd(Protocol):
    """Tells every Ingress that a job has ended; one that cannot be reached reads the job by itself, later."""

    async def job_ended(self, job_id: str) -> None: ...


class WatchedJobs:
    """A set of job ids that forgets each after a while, since callers leave and Ingress replicas die."""

    def __init__(
        self, end: JobEnd, keep_s: float = KEEP_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._end = end
        self._keep_s = keep_s
        self._clock = clock
        self._watched: dict[str, float] = {}  # oldest watch first

    def watch(self, job_id: str) -> None:
        """Remember for `keep_s` that somebody waits for the job."""
        self._forget()
        self._watched.pop(job_id, None)
        self._watched[job_id] = self._clock() + self._keep_s

    async def ended(self, job_id: str) -> None:
        """Tell of the job's end if somebody waits for it; the watch is over then."""
        self._forget()
        if self._watched.pop(job_id, None) is not None:
            await self._end.job_ended(job_id)

    def __contains__(self, job_id: str) -> bool:
        self._forget()
        return job_id in self._watched

    def __len__(self) -> int:
        return len(self._watched)

    def _forget(self) -> None:
        now = self._clock()
        while self._watched:
            oldest = next(iter(self._watched))
            if self._watched[oldest] > now and len(self._watched) < MOST_JOBS:
                return
            del self._watched[oldest]
