"""Finds the jobs that nobody has in hand: retries that have come due, studies that are stable, and lost ones."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Executor
from typing import Final, Protocol

from core.errors import SerinusError
from ledger import DueJob
from serve_apps.application.executors import run_in
from serve_apps.application.messages import JobOutcome

logger = logging.getLogger("serinus.jobs")
LOOK_S: Final = 1.0
BUSY_LOOKS: Final = 5  # a worker without a free slot looks this many times less often


class DueJobs(Protocol):
    """The jobs that nobody has in hand, in the order in which they are to begin; none of a busy source."""

    def __call__(self, limit: int, *, busy_sources: Collection[str]) -> tuple[DueJob, ...]: ...


class Worker(Protocol):
    """The worker of this process, as recovery sees it."""

    @property
    def free(self) -> int: ...

    @property
    def busy_sources(self) -> frozenset[str]: ...

    def has(self, job_id: str) -> bool: ...


async def nobody_is_lost() -> None:
    """For a worker that hears of lost workers only by their leases."""


class JobRecovery:
    """Asks any worker to run what is due, by `run`, so that Serve counts it as load.

    A worker whose slots are all taken looks too, only less often: its queue puts an old job before young ones, so a
    steady load does not keep a retry waiting for ever. A source that hangs is passed over while as many of its jobs
    wait as one worker takes in, so that the jobs of others are found behind them.
    """

    def __init__(
        self,
        due: DueJobs,
        run: Callable[[DueJob], Awaitable[JobOutcome]],
        worker: Worker,
        slots: int,
        ledger: Executor,
        lost_workers: Callable[[], Awaitable[None]] = nobody_is_lost,
    ) -> None:
        self._due = due
        self._run = run
        self._worker = worker
        self._slots = slots
        self._ledger = ledger
        self._lost_workers = lost_workers
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._calls_of: Counter[str] = Counter()  # by source
        self._skipped = 0

    async def run_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self._lost_workers()
                await self.look()
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("jobs.recovery_failed", extra={"error": type(error).__name__})

    async def look(self) -> None:
        """Begin what is due, at most as many jobs as there are free slots."""
        room = self._worker.free
        if room == 0:
            self._skipped += 1
            if self._skipped < BUSY_LOOKS:
                return
            room = self._slots
        self._skipped = 0
        for job in await run_in(self._ledger, self._due, room, busy_sources=self._busy_sources):
            if job.id not in self._calls and not self._worker.has(job.id):
                self._calls_of[job.place.source] += 1
                self._calls[job.id] = asyncio.create_task(self._call(job))

    @property
    def _busy_sources(self) -> frozenset[str]:
        called = {source for source, calls in self._calls_of.items() if calls >= self._slots}
        return self._worker.busy_sources | called

    async def _call(self, job: DueJob) -> None:
        try:
            outcome = await self._run(job)
            logger.info("jobs.recovered", extra={"job": job.id, "state": outcome.state.value})
        except SerinusError as error:
            logger.info("jobs.not_recovered", extra={"job": job.id, "error": error.code})
        except Exception as error:
            logger.exception("jobs.not_recovered", extra={"job": job.id, "error": type(error).__name__})
        finally:
            del self._calls[job.id]
            self._calls_of[job.place.source] -= 1
