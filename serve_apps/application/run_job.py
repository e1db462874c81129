"""Runs jobs that the ledger holds: wait for a slot, claim, keep the lease, analyse, end. At least once, fenced.

    run ──► joined: it runs here already
     └───► gate (STAT first) ──► claim ──► analyse ──► JobEnding
             │ drain: handed back   │ somebody else has it: how it stands
             ▼                      ▼

A worker that dies loses its leases, and another claims its jobs. Whatever a job left half done is repeated with the
same UIDs, so that the PACS holds one report.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from core.errors import SerinusError, Unforeseen
from core.priority import QueuePlace
from ledger import ClaimedJob, Job, JobState, LeaseLost
from ledger.state import FINISHED, HAS_RESULT
from observability.names import Stage
from observability.stage_clock import StageClock
from serve_apps.application.analyse_study import Progress, StudyOrder, Workplace, analyse_study
from serve_apps.application.end_job import JobEnding
from serve_apps.application.executors import run_in
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.messages import JobOutcome
from serve_apps.application.predict_with_fallback import HeldSlot
from serve_apps.application.priority_gate import PriorityGate
from serve_apps.application.same_reading import SameReading

logger = logging.getLogger("serinus.jobs")
STAGE_SHOWN_AFTER_S: Final = 0.25  # a stage that is over before anybody can look is not written


class JobClaims(Protocol):
    """The beginning of a job in the ledger."""

    def claim(self, job_id: str, worker: str, lease_s: float) -> ClaimedJob | None: ...

    def stage(self, token: str, name: str) -> None: ...

    def release(self, token: str) -> None: ...


class JobRows(Protocol):
    """How jobs stand in the ledger."""

    def get(self, job_id: str) -> Job: ...

    def result(self, job_id: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What every job of a worker shares. `ledger` is an executor."""

    worker: str
    slots: int
    lease_s: float
    claims: JobClaims
    jobs: JobRows
    keeper: LeaseKeeper
    ending: JobEnding
    place: Workplace
    ledger: Executor
    stage_shown_after_s: float = STAGE_SHOWN_AFTER_S


class JobRunner:
    """Runs up to `slots` jobs at a time, each once however often it is asked for."""

    def __init__(self, context: RunnerContext) -> None:
        self._c = context
        self._gate = PriorityGate(context.slots)
        self._tasks: dict[str, asyncio.Task[JobOutcome]] = {}
        self._queued: set[str] = set()
        self._is_draining = False

    @property
    def free(self) -> int:
        """How many more jobs could run now."""
        return 0 if self._is_draining else self._gate.free

    @property
    def busy_sources(self) -> frozenset[str]:
        """The sources of which nothing more can begin here now, whatever is free."""
        return self._gate.full_lanes

    def has(self, job_id: str) -> bool:
        """Whether the job runs or waits here."""
        return job_id in self._tasks

    async def run(self, job_id: str, place: QueuePlace) -> JobOutcome:
        """Run the job, or join it if it runs here.

        A caller that goes away does not end the job. Raises JobNotFound and LedgerUnavailable.
        """
        task = self._tasks.get(job_id)
        if task is None:
            if self._is_draining:
                return handed_back(job_id)
            # a context of its own: Serve would cancel the calls of a job together with the request that began it
            task = asyncio.create_task(self._run(job_id, place), context=contextvars.Context())
            self._tasks[job_id] = task
            task.add_done_callback(partial(self._forget, job_id))
        return await asyncio.shield(task)

    def stop_taking(self) -> None:
        """Take no more jobs, and hand those back at once that wait for a slot."""
        self._is_draining = True
        for job_id in tuple(self._queued):
            self._tasks[job_id].cancel()

    async def drain(self, within_s: float) -> None:
        """Take no more jobs. Those that run may end within the time; what is left then is handed back."""
        self.stop_taking()
        running = tuple(self._tasks.values())
        if running:
            _, late = await asyncio.wait(running, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, job_id: str, place: QueuePlace) -> JobOutcome:
        self._queued.add(job_id)
        try:
            async with self._gate.slot(place.order, place.source) as slot:
                self._queued.discard(job_id)
                return await self._in_slot(job_id, slot)
        except asyncio.CancelledError:
            return handed_back(job_id)  # only `drain` cancels; a claim was given back
        finally:
            self._queued.discard(job_id)

    async def _in_slot(self, job_id: str, slot: HeldSlot) -> JobOutcome:
        claiming = asyncio.create_task(
            run_in(self._c.ledger, self._c.claims.claim, job_id, self._c.worker, self._c.lease_s)
        )
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:  # the claim may succeed all the same
            claimed = await claiming
            if claimed is not None:
                await self._release(claimed)
            raise
        if claimed is None:
            return await self._in_other_hands(job_id)
        return await self._hold(claimed, slot)

    async def _hold(self, claimed: ClaimedJob, slot: HeldSlot) -> JobOutcome:
        """Work under the lease. If it is lost, the work stops and what others make of the job counts."""
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(self._work(claimed, slot))
        self._c.keeper.keep(claimed.token, partial(loop.call_soon_threadsafe, work.cancel))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            if not work.cancelled() and work.exception() is None:
                return work.result()
            await self._release(claimed)
            raise
        finally:
            self._c.keeper.drop(claimed.token)
        if work.cancelled() or isinstance(work.exception(), LeaseLost):
            logger.info("jobs.lease_lost", extra={"job": claimed.job.id})
            return await self._as_it_stands(claimed.job.id)
        return work.result()

    async def _work(self, claimed: ClaimedJob, slot: HeldSlot) -> JobOutcome:
        clock, progress = StageClock(), Progress()
        clock.add(Stage.QUEUE, int(claimed.job.created_at.timestamp() * 1e9), clock.now_ns())
        showing = asyncio.create_task(self._show(claimed.token, progress))
        try:
            order = replace(order_of(claimed.job), token=claimed.token)
            analysis = await analyse_study(order, self._c.place, slot, progress)
            if isinstance(analysis, SameReading):
                return await self._ending(claimed).completed_as(claimed, analysis, clock)
            return await self._ending(claimed).completed(claimed, analysis, clock)
        except LeaseLost:
            raise
        except SerinusError as error:
            return await self._ending(claimed).failed(claimed, error, progress, clock)
        except Exception as error:
            logger.exception("jobs.unexpected", extra={"job": claimed.job.id})
            unforeseen = Unforeseen(f"unexpected {type(error).__name__}")
            return await self._ending(claimed).failed(claimed, unforeseen, progress, clock)
        finally:
            showing.cancel()

    def _ending(self, claimed: ClaimedJob) -> JobEnding:
        """From here on no renewal stops the work."""
        self._c.keeper.keep(claimed.token, nothing_is_lost)
        return self._c.ending

    async def _show(self, token: str, progress: Progress) -> None:
        """Write the stage for those who look. Nothing depends on it, and a short study writes none."""
        shown: Stage | None = None
        while True:
            await asyncio.sleep(self._c.stage_shown_after_s)
            if progress.stage is shown:
                continue
            shown = progress.stage
            try:
                await run_in(self._c.ledger, self._c.claims.stage, token, shown.value)
            except SerinusError as error:  # the lease is lost or the ledger away: the work itself finds out
                logger.info("jobs.stage_not_shown", extra={"error": error.code})

    async def _in_other_hands(self, job_id: str) -> JobOutcome:
        """A job that nobody may claim any more has ended, perhaps by this very claim: whoever waits looks at it."""
        outcome = await self._as_it_stands(job_id)
        if outcome.state in FINISHED:
            self._c.ending.ended(job_id)
        return outcome

    async def _as_it_stands(self, job_id: str) -> JobOutcome:
        job = await run_in(self._c.ledger, self._c.jobs.get, job_id)
        result = None
        if job.state in HAS_RESULT:
            result = await run_in(self._c.ledger, self._c.jobs.result, job_id)
        return JobOutcome(job.id, job.state, result, job.error_code, job.error_detail)

    async def _release(self, claimed: ClaimedJob) -> None:
        with suppress(SerinusError):  # else the lease runs out, which costs no attempt either
            await run_in(self._c.ledger, self._c.claims.release, claimed.token)

    def _forget(self, job_id: str, task: asyncio.Task[JobOutcome]) -> None:
        self._tasks.pop(job_id, None)
        if not task.cancelled():
            task.exception()  # told to whoever waits; nobody may


def nothing_is_lost() -> None:
    """What is written is fenced by itself, and once it is, the token is no longer good without being lost."""


def handed_back(job_id: str) -> JobOutcome:
    """The job is in nobody's hands: another worker may run it at once."""
    return JobOutcome(job_id, JobState.QUEUED, retry_after_s=0.0)


def order_of(job: Job) -> StudyOrder:
    """What is to be read."""
    return StudyOrder(
        study=job.study,
        queue=job.order,
        model=job.model or None,
        outputs=job.outputs,
        created_at=job.created_at,
        tester_variant=job.tester_variant,
        deadline=job.caller_deadline,
        force=job.force,
    )
