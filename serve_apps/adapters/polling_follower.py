"""Follows a job by looking at the ledger, woken early when this process itself has ended it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from ledger import FINISHED, Job, Ledger
from serve_apps.application.executors import run_in
from serve_apps.application.messages import JobOutcome
from serve_apps.application.wakeups import Wakeups, heard

POLL_S = 0.2  # for jobs that another router runs; this one rings


class PollingFollower:
    """A JobFollower for a process that runs jobs itself."""

    def __init__(self, ledger: Ledger, wakeups: Wakeups, executor: Executor) -> None:
        self._ledger = ledger
        self._wakeups = wakeups
        self._executor = executor

    def begin(self, job: Job, waiter_s: float | None = None) -> None:
        self._wakeups.submitted.ring()

    async def outcome(self, job_id: str, within_s: float) -> JobOutcome | None:
        return None

    async def follow(self, job_id: str, within_s: float) -> Job:
        clock = asyncio.get_running_loop().time
        wakeup, deadline = self._wakeups.ended.of(job_id), clock() + within_s
        job = await run_in(self._executor, self._ledger.jobs.get, job_id)
        while job.state not in FINISHED and (left := deadline - clock()) > 0:
            await heard(wakeup, min(left, POLL_S))
            job = await run_in(self._executor, self._ledger.jobs.get, job_id)
        return job
