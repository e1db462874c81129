"""Runs jobs that the ledger holds: claim, keep the lease, analyse, complete or fail. At least once, fenced.

A runner that dies loses its leases, and another claims its jobs. Whatever a job left half done is repeated
with the same UIDs, so that the PACS holds one report.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from core.clock import now
from core.errors import SerinusError
from core.priority import Priority, queue_order
from ledger import ClaimedJob, Job, LeaseLost, Ledger, ShadowTask
from observability.names import Stage
from observability.record import StageTiming
from observability.stage_clock import StageClock
from serve_apps.adapters.tracing import StudyTracer
from serve_apps.adapters.wakeups import Wakeups
from serve_apps.application.analyse_study import Analysis, SiteRules, StudyOrder, analyse_study
from serve_apps.application.decisions import decision_rows
from serve_apps.application.deliveries import deliveries_for
from serve_apps.application.jobs import retry_at
from serve_apps.application.ports import InferencePort
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.run_shadow import RecentStudies
from serve_apps.application.shadow import critical_codes, shadow_tasks_of, silenced
from serve_apps.settings import Settings, SourceSettings

logger = logging.getLogger("serinus.jobs")
IDLE_S = 0.2  # for jobs that another router accepted, and for retries that have come due


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What every job of a runner shares."""

    worker: str
    settings: Settings
    ledger: Ledger
    snapshot: Callable[[], RoutingSnapshot]
    reading: InferencePort
    rules: SiteRules
    sources: Callable[[str], SourceSettings]
    tracer: StudyTracer
    recent: RecentStudies
    wakeups: Wakeups


class JobRunner:
    """Up to `jobs_per_router` jobs at a time."""

    def __init__(self, context: RunnerContext) -> None:
        self._c = context
        self._running: dict[str, tuple[ClaimedJob, asyncio.Task[None]]] = {}

    @property
    def busy(self) -> bool:
        """Whether live studies need the machine now."""
        return bool(self._running)

    async def run_forever(self) -> None:
        """Claim what there is room for; the one loop that must not end."""
        while True:
            try:
                await self._claim()
            except Exception as error:  # noqa: BLE001 - outermost loop: the ledger may be away for a while
                logger.warning("jobs.claim_failed", extra={"error": type(error).__name__})
                await asyncio.sleep(1.0)
            await self._c.wakeups.submitted.wait(IDLE_S)

    async def keep_leases(self) -> None:
        """Renew the leases of running jobs; stop working on a job that was lost or cancelled."""
        while True:
            await asyncio.sleep(self._c.settings.lease_s / 3)
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001 - outermost loop
                logger.warning("jobs.renew_failed", extra={"error": type(error).__name__})

    async def _claim(self) -> None:
        room = self._c.settings.jobs_per_router - len(self._running)
        if room <= 0 or self._c.snapshot().generation < 0:
            return
        claimed = await asyncio.to_thread(self._claim_due, room)
        for job in claimed:
            task = asyncio.create_task(self._run(job))
            self._running[job.job.id] = (job, task)
            task.add_done_callback(partial(self._forget, job.job.id))

    def _claim_due(self, limit: int) -> list[ClaimedJob]:
        leases, lease_s = self._c.ledger.leases, self._c.settings.lease_s
        claimed = [leases.claim(job, self._c.worker, lease_s) for job in leases.due(limit, unclaimed_s=0.0)]
        return [job for job in claimed if job is not None]

    def _forget(self, job_id: str, _: asyncio.Task[None]) -> None:
        self._running.pop(job_id, None)
        self._c.wakeups.to_deliver.ring()
        self._c.wakeups.silent.ring()
        self._c.wakeups.ended.ring(job_id)
        self._c.wakeups.submitted.ring()  # there is room for the next one

    async def _renew(self) -> None:
        if not self._running:
            return
        tokens = [claimed.token for claimed, _ in self._running.values()]
        lost = await asyncio.to_thread(self._c.ledger.leases.renew, tokens, self._c.settings.lease_s)
        for claimed, task in tuple(self._running.values()):
            if claimed.token in lost:
                task.cancel()

    async def _run(self, claimed: ClaimedJob) -> None:
        clock = StageClock()
        created_ns = int(claimed.job.created_at.timestamp() * 1e9)
        clock.add(Stage.QUEUE, created_ns, clock.now_ns())
        try:
            analysis = await self._analyse(claimed)
            with clock.stage(Stage.STORE):
                await self._complete(claimed, analysis, clock.timings)
            await asyncio.to_thread(self._c.tracer.completed, claimed.job, analysis, clock.timings)
        except LeaseLost:
            logger.info("jobs.lease_lost", extra={"job": claimed.job.id})
        except SerinusError as error:
            await self._fail(claimed, error, clock)
        except Exception as error:
            logger.exception("jobs.unexpected", extra={"job": claimed.job.id})
            await self._fail(claimed, SerinusError(f"unexpected {type(error).__name__}"), clock)

    async def _analyse(self, claimed: ClaimedJob) -> Analysis:
        last: asyncio.Task[None] | None = None

        async def on_stage(stage: Stage) -> None:
            nonlocal last
            last = asyncio.create_task(self._show(claimed.token, stage, after=last))

        order = order_of(claimed.job)
        return await analyse_study(order, self._c.snapshot, self._c.reading, self._c.rules, on_stage)

    async def _show(self, token: str, stage: Stage, after: asyncio.Task[None] | None) -> None:
        """Write the stage for those who look, in order and beside the work: nothing depends on it."""
        if after is not None:
            await asyncio.wait([after])
        try:
            await asyncio.to_thread(self._c.ledger.leases.stage, token, stage.value)
        except Exception as error:  # noqa: BLE001 - the lease is lost or the ledger away: the work itself finds out
            logger.info("jobs.stage_not_shown", extra={"error": type(error).__name__})

    async def _complete(self, claimed: ClaimedJob, analysis: Analysis, own: tuple[StageTiming, ...]) -> None:
        job = claimed.job
        await asyncio.to_thread(
            self._c.ledger.leases.complete,
            claimed.token,
            result=analysis.result.model_dump(mode="json"),
            documents_by_kind=analysis.documents,
            deliveries_to_make=deliveries_for(job, self._c.sources(job.study.source), analysis),
            stages_s=seconds_by_stage((*own, *analysis.stages)),
            model=analysis.study.model,
            decisions=decision_rows(analysis.study.model, analysis.assignment, analysis.answered),
            shadows=self._owed(job, analysis),
            study_key=self._c.rules.keys.study(job.study.study_uid),
        )
        self._c.recent.keep(job.id, analysis.study)
        logger.info("jobs.completed", extra={"job": job.id, "version": analysis.answered.variant.version})

    def _owed(self, job: Job, analysis: Analysis) -> tuple[ShadowTask, ...]:
        """The silent readings of this study: they are written with its result, so none can be lost."""
        model = analysis.study.model
        delivered = silenced(
            analysis.answered.inference.prediction, critical_codes(analysis.answered.version.spec)
        )
        return shadow_tasks_of(model, job.study, analysis.assignment, analysis.champion, delivered)

    async def _fail(self, claimed: ClaimedJob, error: SerinusError, clock: StageClock) -> None:
        """Retry what may succeed later, as often as the site allows; then say why it failed."""
        again = error.retryable and claimed.job.attempt < self._c.settings.max_attempts
        leases, told = self._c.ledger.leases, (claimed.token, error.code, error.detail)
        try:
            if again:
                at = retry_at(claimed.job.attempt, now())
                await asyncio.to_thread(leases.retry, *told, at=at, counts=True, kind=error.failure)
            else:
                await asyncio.to_thread(leases.fail, *told)
        except LeaseLost:
            return
        logger.info("jobs.failed", extra={"job": claimed.job.id, "code": error.code, "retry": again})
        await asyncio.to_thread(self._c.tracer.failed, claimed.job, error, clock.timings)


def seconds_by_stage(timings: tuple[StageTiming, ...]) -> dict[str, float]:
    """What each stage took in all, in the order of the stages."""
    total = {stage.value: 0.0 for stage in Stage}
    for timing in timings:
        total[timing.stage.value] += timing.duration_ms / 1e3
    return {name: round(seconds, 6) for name, seconds in total.items() if seconds > 0}


def order_of(job: Job) -> StudyOrder:
    return StudyOrder(
        study=job.study,
        queue=queue_order(Priority(job.priority.value), job.created_at),
        model=job.model or None,
        outputs=job.outputs,
        created_at=job.created_at,
        tester_variant=job.tester_variant,
    )
