"""What callers can do with jobs, as plain methods over the ledger: no HTTP and no Ray in here.

Everything that touches the ledger runs in a thread; the event loop of the router stays free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from core.clock import now
from core.errors import RequestError
from imaging.object_store import permitted
from ledger import FINISHED, Job, JobRequest, JobState, Ledger, Priority
from serve_apps.adapters.archives import configured_sources
from serve_apps.adapters.wakeups import Wakeups, heard
from serve_apps.api.auth import Caller, Scope
from serve_apps.api.problems import Problem
from serve_apps.api.schemas import (
    InferCall,
    InferenceType,
    JobOut,
    JobPage,
    JobSubmission,
    ModelsOut,
    VariantOut,
)
from serve_apps.application.routing_snapshot import RoutingSnapshot, eligible_models
from serve_apps.settings import ObjectSourceSettings, Settings, SourceSettings

POLL_S = 0.2  # for jobs that another router runs; this one rings


class JobService:
    """Submits, shows and cancels jobs for an authenticated caller."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        wakeups: Wakeups | None = None,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._fleet = snapshot
        self._bells = wakeups or Wakeups()
        self._sources = configured_sources(settings)
        self.waiting = 0  # callers that wait for their job now

    async def submit(
        self,
        submission: JobSubmission,
        caller: Caller,
        idempotency_key: str | None,
        tester_variant: str | None = None,
    ) -> tuple[Job, bool]:
        """Make the job durable; returns it and whether an earlier one was replayed. Raises Problem.

        `tester_variant` is for callers with the scope `variants:choose`: the variant that is to read the study.
        """
        self._check(submission)
        if tester_variant is not None:
            caller.require(Scope.VARIANTS_CHOOSE)
            self._check_variant(submission.model, tester_variant)
        await self._check_load()
        request = JobRequest(
            study_uid=submission.study_uid,
            source=submission.source,
            series_uids=submission.series_uids,
            model=submission.model or "",
            priority=Priority(submission.priority.value),
            outputs=tuple(output.value for output in submission.outputs),
            callback=submission.callback,
            context=submission.context,
            tester_variant=tester_variant,
        )
        submitted = await asyncio.to_thread(
            self._ledger.jobs.submit, request, idempotency_key=idempotency_key, tenant=caller.name, now=now()
        )
        self._bells.submitted.ring()
        return submitted.job, submitted.replayed

    async def infer(self, call: InferCall, caller: Caller) -> Job:
        """One object of a study arrived; all calls for the study become one job."""
        check_object(call.s3_uri, self._sources.get(self._settings.infer_source))
        await self._check_load()
        candidate = eligible_models(
            self._fleet(), None, call.modality, triage_only=call.inference_type is InferenceType.TRIAGE
        )[0]
        submitted = await asyncio.to_thread(
            self._ledger.jobs.submit_object,
            call.study_uid,
            call.s3_uri,
            source=self._settings.infer_source,
            model=candidate.model,
            priority=Priority.URGENT if call.inference_type is InferenceType.TRIAGE else Priority.ROUTINE,
            inference_type=call.inference_type.value,
            tenant=caller.name,
            stable_age_s=self._settings.stable_age_s,
            now=now(),
        )
        return submitted.job

    async def pushed(self, study_uid: str, instance_uid: str, source: str, caller: Caller) -> Job:
        """One instance of a study was pushed to `source`; its job starts when the study is complete."""
        submitted = await asyncio.to_thread(
            self._ledger.jobs.submit_object,
            study_uid,
            instance_uid,
            source=source,
            model="",
            priority=Priority.ROUTINE,
            inference_type="",
            tenant=caller.name,
            stable_age_s=self._settings.stable_age_s,
            now=now(),
        )
        return submitted.job

    async def complete_study(self, study_uid: str, caller: Caller) -> int:
        return await asyncio.to_thread(self._ledger.jobs.complete_study, study_uid, caller.name, now())

    async def get(self, job_id: str) -> Job:
        return await asyncio.to_thread(self._ledger.jobs.get, job_id)

    async def wait(self, job_id: str, seconds: float) -> Job:
        """The job when it has finished, or as it stands after `seconds`; at once when too many callers wait.

        A wait is a preference (RFC 7240): callers that wait must not keep others from being accepted.
        """
        wakeup = self._bells.ended.of(job_id)
        job = await self.get(job_id)
        if self.waiting >= self._settings.max_waiting_callers:
            return job
        self.waiting += 1
        try:
            return await self._followed(job, wakeup, asyncio.get_running_loop().time() + seconds)
        finally:
            self.waiting -= 1

    async def _followed(self, job: Job, wakeup: asyncio.Event, deadline: float) -> Job:
        while job.state not in FINISHED and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await heard(wakeup, min(left, POLL_S))
            job = await self.get(job.id)
        return job

    async def list(
        self,
        *,
        study_uid: str | None,
        state: str | None,
        model: str | None,
        since: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> JobPage:
        wanted = _state(state)
        jobs, after = await asyncio.to_thread(
            self._ledger.jobs.list_jobs,
            study_uid=study_uid,
            state=wanted,
            model=model,
            since=since,
            limit=limit,
            cursor=cursor,
        )
        return JobPage(jobs=tuple(to_wire(job) for job in jobs), next_cursor=after)

    async def cancel(self, job_id: str) -> Job:
        return await asyncio.to_thread(self._ledger.jobs.cancel, job_id, now())

    async def result(self, job_id: str) -> Mapping[str, object]:
        """The JSON result with what the safety net has found since; raises Problem with the job's own error."""
        job = await self.get(job_id)
        if job.state is JobState.FAILED:
            raise job_problem(job)
        if job.state is JobState.CANCELED:
            raise Problem("canceled", "the job was cancelled")
        result = await asyncio.to_thread(self._ledger.jobs.result, job_id)
        escalations = await asyncio.to_thread(self._ledger.escalations.of_job, job_id)
        return {**result, "escalations": [dict(each) for each in escalations]}

    async def document(self, job_id: str, kind: str) -> bytes:
        await self.result(job_id)
        return await asyncio.to_thread(self._ledger.jobs.document, job_id, kind)

    def models(self) -> ModelsOut:
        snapshot = self._fleet()
        return ModelsOut(
            generation=snapshot.generation,
            registry=snapshot.registry,
            site_policy=self._settings.site_policy.value,
            alarms=dict(snapshot.alarms),
            variants=tuple(
                VariantOut(
                    model=v.model,
                    version=v.version,
                    role=v.role,
                    state=v.state.value,
                    digest=v.digest,
                    reason=v.reason,
                    regulatory_status=v.regulatory_status,
                )
                for v in snapshot.variants
            ),
        )

    def require_ready(self) -> None:
        """Raises Problem 503 until every champion is warm."""
        snapshot = self._fleet()
        if snapshot.generation < 0:
            raise Problem("warming", "the controller has not told this router of any version yet", True)
        if snapshot.not_ready:
            raise Problem("warming", f"not warm yet: {', '.join(snapshot.not_ready)}", True)

    async def counts(self) -> Mapping[str, int]:
        return await asyncio.to_thread(self._ledger.jobs.counts)

    def _check(self, submission: JobSubmission) -> None:
        if submission.source not in self._sources:
            raise Problem("unknown-source", "no source of that id is configured", pointer="/source")
        if submission.model is not None:
            eligible_models(self._fleet(), submission.model)
        if submission.callback is not None:
            check_callback(submission.callback, self._settings.callback_hosts)

    def _check_variant(self, model: str | None, variant: str) -> None:
        """Say at once what can be known now; whose model will read the study may turn out only later."""
        if model is not None and variant not in self._fleet().table(model).answering:
            raise Problem("unknown-variant", "no variant of that name may answer now")

    async def _check_load(self) -> None:
        if await asyncio.to_thread(self._ledger.jobs.open_jobs) >= self._settings.max_open_jobs:
            raise Problem("overloaded", "too many open jobs; nothing was accepted", retryable=True)


def check_callback(url: str, allowed_hosts: tuple[str, ...]) -> None:
    """A callback goes to an allowed host over https, or http on loopback; anything else is refused (SSRF)."""
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    )
    if not secure or parts.hostname not in allowed_hosts or parts.username:
        raise Problem("url-refused", "the callback's host is not allowed by this site", pointer="/callback")


def check_object(uri: str, source: SourceSettings | None) -> None:
    """An object is read from the prefixes of the site's own source only; anything else is refused (SSRF)."""
    if not isinstance(source, ObjectSourceSettings):
        raise Problem("unknown-source", "this site reads no objects", pointer="/s3_uri")
    try:
        permitted(uri, source.allowed_prefixes)
    except RequestError as error:
        raise Problem("url-refused", error.detail, pointer="/s3_uri") from None


def to_wire(job: Job) -> JobOut:
    base = f"/v1/jobs/{job.id}"
    return JobOut(
        id=job.id,
        state=job.state.value,
        stage=job.stage,
        study_uid=job.study_uid,
        source=job.source,
        model=job.model or None,
        priority=job.priority.value,
        attempt=job.attempt,
        created_at=job.created_at,
        finished_at=job.finished_at,
        stages_s=dict(job.stages_s),
        error=None if job.error_code is None else job_problem(job).body(),
        undelivered=tuple(job.undelivered),
        links={"self": base, "results": f"{base}/results"},
    )


def job_problem(job: Job) -> Problem:
    """Why the job failed, as a problem."""
    return Problem(job.error_code or "internal-error", job.error_detail or "the job failed")


def _state(state: str | None) -> JobState | None:
    if state is None:
        return None
    try:
        return JobState(state)
    except ValueError:
        raise Problem("invalid-field", "no such job state", pointer="/state") from None


RETRY_DELAYS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def retry_at(attempt: int, at: datetime) -> datetime:
    """When attempt number `attempt` + 1 may begin."""
    return at + timedelta(seconds=RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S)) - 1])
