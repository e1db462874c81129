"""From an accepted job to its end, as an Ingress sees it: has a worker run it, and tells callers when it has ended.

begin ──► JobWorker.run ──outcome──► the callers that wait here
follow ─► a job that runs elsewhere: watch it there, read it once, wait for `ended`; read again now and then
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final, Protocol

from core.errors import SerinusError
from core.priority import QueuePlace
from ledger import FINISHED, Job
from serve_apps.application.executors import run_in
from serve_apps.application.messages import JobOutcome
from serve_apps.application.wakeups import JobWakeups, heard

logger = logging.getLogger("serinus.ingress")
READ_AGAIN_S: Final = 2.0  # a push that is lost costs a waiting caller this much
PAUSES_S: Final = (0.0, 0.1, 0.5, 1.0, 2.0)  # before each call of a worker; the ledger's recovery comes after


class JobWorkers(Protocol):
    """All workers; Serve picks one. Raises SerinusError: WorkerLost when the one that was picked is gone."""

    async def run(self, job_id: str, place: QueuePlace, waiter_s: float | None) -> JobOutcome: ...


class JobWatches(Protocol):
    """Has whoever ends the job tell every Ingress of it. Does not raise: the job is read again anyway."""

    async def watch(self, job_id: str) -> None: ...


class JobEnd(Protocol):
    """Tells every Ingress that a job has ended. Does not raise: the job is read again anyway."""

    async def job_ended(self, job_id: str) -> None: ...


class JobFollower:
    """Begins jobs and follows them; holds nothing that the ledger does not."""

    def __init__(
        self,
        workers: JobWorkers,
        watches: JobWatches,
        ends: JobEnd,
        get: Callable[[str], Job],
        ledger: Executor,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        read_again_s: float = READ_AGAIN_S,
    ) -> None:
        self._workers = workers
        self._watches = watches
        self._tell = ends
        self._get = get
        self._ledger = ledger
        self._sleep = sleep
        self._read_again_s = read_again_s
        self._ends = JobWakeups()
        self._runs: dict[str, asyncio.Task[JobOutcome | None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begin(self, job: Job, waiter_s: float | None = None) -> None:
        """Have a worker run the job, without waiting for it. `waiter_s` is how long its caller will wait."""
        if job.id in self._runs or job.state in FINISHED:
            return
        # a context of its own: Serve would cancel the run together with the caller's request
        run = asyncio.create_task(self._run(job, waiter_s), context=contextvars.Context())
        self._runs[job.id] = run
        run.add_done_callback(partial(self._forget, job.id))

    def begin_in(self, job: Job, pause_s: float) -> None:
        """Have a worker run the job in `pause_s` seconds, counted anew when this is said of it again.

        A worker that is called too early, because another Ingress put it off, leaves the job as it is.
        """
        timer = self._timers.pop(job.id, None)
        if timer is not None:
            timer.cancel()
        self._timers[job.id] = asyncio.get_running_loop().call_later(pause_s, self._begin_now, job)

    async def follow(self, job_id: str, within_s: float) -> Job:
        """The job when it has ended, or as it stands after `within_s`. Raises JobNotFound."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        wakeup = self._ends.of(job_id)
        await self._begun_here(job_id, within_s)
        job = await self._read(job_id)
        is_watched = False
        while job.state not in FINISHED and (left_s := deadline - clock()) > 0:
            if is_watched:  # whoever heard nothing watches again: a worker may have been started meanwhile
                is_watched = await heard(wakeup, min(left_s, self._read_again_s))
            else:
                await self._watches.watch(job_id)
                is_watched = True
            job = await self._read(job_id)
        return job

    async def outcome(self, job_id: str, within_s: float) -> JobOutcome | None:
        """What the worker that was called here made of the job, without asking the ledger; None if it is unknown."""
        return await self._begun_here(job_id, within_s)

    def ended(self, job_id: str) -> None:
        """Wake whoever waits here for the job, which somebody has ended, perhaps before a worker came to it."""
        self._runs.pop(job_id, None)
        self._ends.ring(job_id)

    async def tell_ended(self, job_id: str) -> None:
        """Wake whoever waits for the job in any Ingress: it was ended here."""
        self.ended(job_id)
        await self._tell.job_ended(job_id)

    def _begin_now(self, job: Job) -> None:
        del self._timers[job.id]
        self.begin(job)

    async def _begun_here(self, job_id: str, within_s: float) -> JobOutcome | None:
        """What a worker made of the job, at the end of its run; None if it ended otherwise, or not in time."""
        run = self._runs.get(job_id)
        if run is None:
            return None
        wakeup = self._ends.of(job_id)
        ring = asyncio.create_task(wakeup.wait())
        await asyncio.wait([run, ring], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        ring.cancel()
        return run.result() if run.done() and not run.cancelled() else None

    async def _read(self, job_id: str) -> Job:
        return await run_in(self._ledger, self._get, job_id)

    async def _run(self, job: Job, waiter_s: float | None) -> JobOutcome | None:
        """Ask workers in turn until one has had the job in hand; the lease decides which one works."""
        for pause_s in PAUSES_S:
            await self._sleep(pause_s)
            try:
                outcome = await self._workers.run(job.id, job.place, waiter_s)
            except SerinusError as error:
                logger.info("ingress.worker_lost", extra={"job": job.id, "error": error.code})
                if not error.retryable:
                    return None
            except Exception as error:
                logger.exception("ingress.run_failed", extra={"job": job.id, "error": type(error).__name__})
                return None
            else:
                if outcome.retry_after_s != 0.0:
                    return outcome  # else the worker drains, and handed it back
        return None

    def _forget(self, job_id: str, _: asyncio.Task[JobOutcome | None]) -> None:
        self.ended(job_id)  # for who began to wait before a worker was called
