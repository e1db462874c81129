"""When a study that could not be analysed gets an SR that says so: in the PACS, silence passes for a negative.

It is made when a job ends with an error, if its site or its caller wants one and a version that may answer was to
read the study; for a series that became no volume that is the champion. A study that could not be fetched, or that
has no series for the model, has nothing that a report could speak of: of that one the caller alone hears.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from core.errors import ModelError, SerinusError, StudyError
from imaging.finding import ModelStamp
from ledger import Job
from serve_apps.application.analyse_study import FindFormerReports, Progress
from serve_apps.application.messages import FetchedStudy, ServedVersion, UnreadSeries
from serve_apps.application.report import FailureReport, failure_report_of
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.jobs")

MakeFailureReport = Callable[[Job, SerinusError, Progress], Awaitable[FailureReport | None]]


async def no_failure_report(job: Job, error: SerinusError, progress: Progress) -> None:
    """For a worker that reports results only."""


class FailureReporter:
    """Makes the SR of a job that has failed. `by_default` is the site's choice for all jobs that want an SR."""

    def __init__(
        self,
        snapshot: Callable[[], RoutingSnapshot],
        former: FindFormerReports,
        cpu: Executor | None,
        *,
        by_default: bool,
    ) -> None:
        self._snapshot = snapshot
        self._former = former
        self._cpu = cpu
        self._by_default = by_default

    async def report(self, job: Job, error: SerinusError, progress: Progress) -> FailureReport | None:
        """None where none is wanted, or none can be made. Raises LedgerUnavailable."""
        if not job.wants_failure_sr(by_default=self._by_default):
            return None
        subject, snapshot = subject_of(progress, error), self._snapshot()
        if subject is None:
            return None
        is_unread = isinstance(subject, UnreadSeries)
        version = (
            champion_of(subject.model, snapshot) if is_unread else version_that_failed(progress, snapshot)
        )
        if version is None:
            return None
        former = await self._former(job.study.study_uid, subject.model, job.created_at)
        reason = f"{error.detail} ({error.code})"
        said = (stamp_of(version), subject.context, reason, job.created_at, former)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._cpu, failure_report_of, *said)
        except ModelError as refused:  # the header itself is not fit for a report
            logger.warning("jobs.no_failure_report", extra={"job": job.id, "code": refused.code})
            return None


def subject_of(progress: Progress, error: SerinusError) -> FetchedStudy | UnreadSeries | None:
    """What a report of the failure would speak of."""
    if progress.study is not None:
        return progress.study
    unread = error.unread if isinstance(error, StudyError) else None
    return unread if isinstance(unread, UnreadSeries) else None


def champion_of(model: str, snapshot: RoutingSnapshot) -> ServedVersion | None:
    """The version that was to read the model's studies, if it may answer now."""
    table = snapshot.tables.get(model)
    version = None if table is None else snapshot.endpoints.get(table.champion.app)
    return version if version is not None and version.may_answer else None


def version_that_failed(progress: Progress, snapshot: RoutingSnapshot) -> ServedVersion | None:
    """The last version that was asked to read the study, if it may answer now: no other is named to anybody."""
    if progress.routed is None:
        return None
    asked = [failure.variant for failure in progress.failures] or [progress.routed.assignment.variant]
    version = snapshot.endpoints.get(asked[-1].app)
    return version if version is not None and version.may_answer else None


def stamp_of(version: ServedVersion) -> ModelStamp:
    return ModelStamp(
        name=version.model,
        version=version.version,
        digest=version.digest,
        manufacturer=version.spec.manufacturer,
        research_only=version.research_only,
    )
