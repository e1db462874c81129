"""How a job ends: what is written and told when its analysis is done, or has failed.

What is written is repeated while the ledger is away, for as long as the token stands: an analysis that is done is not
done again because a database was restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from canary.explain import DecisionRow
from core.clock import now
from core.errors import LedgerUnavailable, SerinusError
from core.retry import FailureClass, RetryPolicy, after_failure
from ledger import (
    FAILURE_SR,
    ClaimedJob,
    Delivery,
    Job,
    JobState,
    ShadowTask,
    callback_of_failure,
    callback_of_result,
)
from observability.names import Stage
from observability.record import StageTiming, StudyTrace
from observability.redaction import Pseudonymiser
from observability.stage_clock import StageClock
from serve_apps.application.analyse_study import Analysis, Progress
from serve_apps.application.decisions import decision_rows, failed_rows
from serve_apps.application.deliveries import deliveries_for, to_store
from serve_apps.application.executors import run_in
from serve_apps.application.failure_report import MakeFailureReport, no_failure_report
from serve_apps.application.messages import FetchedStudy, JobOutcome
from serve_apps.application.pending_shadows import pending_shadows, shadows_of_failure, with_mask
from serve_apps.application.same_reading import SameReading
from serve_apps.application.study_traces import StudyTraces
from serve_apps.settings import SourceSettings

logger = logging.getLogger("serinus.jobs")
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class JobEndings(Protocol):
    """The ends of a job in the ledger, fenced by its token. All raise LeaseLost and LedgerUnavailable."""

    def complete(
        self,
        token: str,
        *,
        result: Mapping[str, Any],
        documents_by_kind: Mapping[str, bytes],
        deliveries_to_make: Sequence[Delivery],
        stages_s: Mapping[str, float],
        model: str,
        decisions: Sequence[DecisionRow],
        shadows: Sequence[ShadowTask],
        study_key: str,
        reading: str | None,
        record: StudyTrace | None,
    ) -> None: ...

    def complete_as(
        self,
        token: str,
        same_as: str,
        *,
        result: Mapping[str, Any],
        deliveries_to_make: Sequence[Delivery],
        stages_s: Mapping[str, float],
        model: str,
        is_foreign: bool,
    ) -> None: ...

    def retry(
        self,
        token: str,
        code: str,
        detail: str,
        *,
        at: datetime,
        counts: bool,
        kind: FailureClass,
        decisions: Sequence[DecisionRow],
        study_key: str,
        record: StudyTrace | None,
    ) -> None: ...

    def fail(
        self,
        token: str,
        code: str,
        detail: str,
        *,
        decisions: Sequence[DecisionRow],
        shadows: Sequence[ShadowTask],
        documents_by_kind: Mapping[str, bytes],
        deliveries_to_make: Sequence[Delivery],
        model: str | None,
        study_key: str,
        record: StudyTrace | None,
    ) -> None: ...


class AfterJob(Protocol):
    """What follows a job elsewhere. No method blocks or raises: what is not told is found in the ledger."""

    def to_deliver(self, job_id: str) -> None:
        """The job has deliveries to make."""
        ...

    def to_shadow(self, job_id: str, study: FetchedStudy) -> None:
        """The job has shadows pending, and its study still lies in the object store."""
        ...

    def ended(self, job_id: str) -> None:
        """Nothing more will happen to the job."""
        ...


@dataclass(frozen=True, slots=True)
class EndingContext:
    """What the end of a job needs. `ledger` is an executor."""

    endings: JobEndings
    policy: RetryPolicy
    keys: Pseudonymiser
    sources: Callable[[str], SourceSettings]
    traces: StudyTraces
    after: AfterJob
    ledger: Executor
    failure_report: MakeFailureReport = no_failure_report
    clock: Callable[[], datetime] = now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class JobEnding:
    """Writes the end of jobs. Raises LeaseLost when the job is no longer this worker's."""

    def __init__(self, context: EndingContext) -> None:
        self._c = context

    async def completed(self, claimed: ClaimedJob, analysis: Analysis, clock: StageClock) -> JobOutcome:
        """The analysis is done: its result, reports, decisions and pending shadows are written in one transaction."""
        job, result = claimed.job, analysis.result.to_json()
        deliveries = deliveries_for(job, self._c.sources(job.study.source), analysis)
        record = recorded(partial(self._c.traces.completed, job, analysis, clock.timings))
        with clock.stage(Stage.STORE):
            shadows = await self._shadows(job, analysis)
            await self._write(
                self._c.endings.complete,
                claimed.token,
                result=result,
                documents_by_kind=analysis.documents,
                deliveries_to_make=deliveries,
                stages_s=seconds_by_stage((*clock.timings, *analysis.stages)),
                model=analysis.study.model,
                decisions=decision_rows(analysis.routed, analysis.outcome),
                shadows=shadows,
                study_key=self._c.keys.study(job.study.study_uid),
                reading=analysis.reading,
                record=record,
            )
        logger.info("jobs.completed", extra={"job": job.id, "version": analysis.outcome.variant.version})
        if shadows:
            self._c.after.to_shadow(job.id, analysis.study)
        return self._done(job.id, deliveries, result)

    async def completed_as(self, claimed: ClaimedJob, same: SameReading, clock: StageClock) -> JobOutcome:
        """Another job has read the same: its result is this job's too, and nothing is stored again."""
        job, result = claimed.job, {**same.result, "same_as": same.job_id}
        deliveries = callback_of_result(job, {**result, "same_as": None if same.is_foreign else same.job_id})
        await self._write(
            self._c.endings.complete_as,
            claimed.token,
            same.job_id,
            result=result,
            deliveries_to_make=deliveries,
            stages_s=seconds_by_stage((*clock.timings, *same.stages)),
            model=same.study.model,
            is_foreign=same.is_foreign,
        )
        logger.info("jobs.same", extra={"job": job.id, "same_as": same.job_id})
        return self._done(job.id, deliveries, result)

    async def _shadows(self, job: Job, analysis: Analysis) -> tuple[ShadowTask, ...]:
        tasks, mask = pending_shadows(job, analysis), analysis.outcome.inference.prediction.mask
        if not tasks or mask is None:
            return tasks
        return await self._while_the_ledger_is_away(lambda: run_in(self._c.ledger, with_mask, tasks, mask))

    def _done(self, job_id: str, deliveries: Sequence[Delivery], result: Mapping[str, Any]) -> JobOutcome:
        if deliveries:
            self._c.after.to_deliver(job_id)
            return JobOutcome(job_id, JobState.STORING, result)
        self._c.after.ended(job_id)
        return JobOutcome(job_id, JobState.COMPLETED, result)

    async def failed(
        self, claimed: ClaimedJob, error: SerinusError, progress: Progress, clock: StageClock
    ) -> JobOutcome:
        """The analysis has failed: the job is tried again by the class of the failure, or ends with it."""
        job, at = claimed.job, self._c.clock()
        decision = after_failure(error.failure, job.behind, at, self._c.policy)
        record = recorded(partial(self._c.traces.failed, job, error, clock.timings, progress, clock.now_ns()))
        if decision.at is None:
            await self._given_up(claimed, error, progress, record)
        else:
            await self._write(
                self._c.endings.retry,
                claimed.token,
                error.code,
                error.detail,
                at=decision.at,
                counts=decision.counts,
                kind=error.failure,
                decisions=rows_of_failure(progress),
                study_key=self._c.keys.study(job.study.study_uid),
                record=record,
            )
        again = decision.at is not None
        logger.info("jobs.failed", extra={"job": job.id, "code": error.code, "retry": again})
        return JobOutcome(
            job.id,
            JobState.QUEUED if again else JobState.FAILED,
            error_code=error.code,
            error_detail=error.detail,
            retry_after_s=(decision.at - at).total_seconds() if decision.at is not None else None,
        )

    async def _given_up(
        self, claimed: ClaimedJob, error: SerinusError, progress: Progress, record: StudyTrace | None
    ) -> None:
        """The job ends with the error. Who waits or asked to be called back hears of it, and perhaps the archive.

        Shadows still read what the champion failed.
        """
        job, shadows = claimed.job, shadows_of_failure(claimed.job, progress)
        report = await self._while_the_ledger_is_away(lambda: self._c.failure_report(job, error, progress))
        documents = {} if report is None else {FAILURE_SR: report.content}
        is_stored = report is not None and (report.is_new or job.force)
        stored = to_store(self._c.sources(job.study.source), documents) if is_stored else ()
        deliveries = (*stored, *callback_of_failure(job, error.code, error.detail))
        await self._write(
            self._c.endings.fail,
            claimed.token,
            error.code,
            error.detail,
            decisions=rows_of_failure(progress),
            shadows=shadows,
            documents_by_kind=documents,
            deliveries_to_make=deliveries,
            model=None if progress.study is None else progress.study.model,
            study_key=self._c.keys.study(job.study.study_uid),
            record=record,
        )
        if deliveries:
            self._c.after.to_deliver(job.id)
        if shadows and progress.study is not None:
            self._c.after.to_shadow(job.id, progress.study)
        self._c.after.ended(job.id)

    def ended(self, job_id: str) -> None:
        """The job has ended by other hands; its callers may wait here."""
        self._c.after.ended(job_id)

    async def _write(self, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        await self._while_the_ledger_is_away(lambda: run_in(self._c.ledger, call, *args, **kwargs))

    async def _while_the_ledger_is_away(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives, asked again for as long as the ledger does not answer."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await ask()
            except LedgerUnavailable:
                logger.warning("jobs.ledger_away", extra={"pause_s": pause_s})
                await self._c.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def recorded(make: Callable[[], StudyTrace]) -> StudyTrace | None:
    """The record; None, and a line in the log, where it cannot be made: no study fails because its record does."""
    try:
        return make()
    except (ValueError, TypeError, AttributeError):
        logger.exception("jobs.not_recorded")
        return None


def rows_of_failure(progress: Progress) -> tuple[DecisionRow, ...]:
    """Who was asked of a study that nobody answered; none before it was assigned."""
    return failed_rows(progress.routed, progress.failures) if progress.routed is not None else ()


def seconds_by_stage(timings: Sequence[StageTiming]) -> dict[str, float]:
    """What each stage took in all, in the order of the stages."""
    total = {stage.value: 0.0 for stage in Stage}
    for timing in timings:
        total[timing.stage.value] += timing.duration_ms / 1e3
    return {name: round(seconds, 6) for name, seconds in total.items() if seconds > 0}
