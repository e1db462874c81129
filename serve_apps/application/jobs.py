"""What callers can do with jobs: no HTTP and no Ray in here, and nothing of the wire.

Everything that touches the ledger runs in the executor that the deployment gives; the event loop stays free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from canary.priority_rules import priority_of
from core.errors import (
    DocumentPurged,
    NoSuchDocument,
    RequestError,
    ResultNotReady,
    RoutingFrozen,
    SerinusError,
    UnknownSource,
    UnknownVariant,
    UrlRefused,
)
from core.study import StudyRef
from imaging.object_location import permitted
from ledger import (
    FAILURE_SR,
    FINISHED,
    HAS_RESULT,
    SR,
    Job,
    JobRequest,
    JobState,
    Ledger,
    Priority,
    Submitted,
)
from observability.traces.caller import trusted_traceparent
from serve_apps.application.callback_hosts import is_allowed
from serve_apps.application.callers import Caller, Scope
from serve_apps.application.executors import run_in
from serve_apps.application.job_in_words import JobInWords, job_in_words
from serve_apps.application.messages import JobOutcome
from serve_apps.application.open_jobs import OpenJobs
from serve_apps.application.routing_snapshot import RoutingSnapshot, eligible_models
from serve_apps.settings import ObjectSourceSettings, Settings, SourceSettings


class InferenceType(StrEnum):
    """What a function that sends objects wants of a study."""

    TRIAGE = "triage"
    ANALYSIS = "analysis"


@dataclass(frozen=True, slots=True)
class ObjectArrival:
    """One object of a study has arrived in the site's bucket."""

    study_uid: str = field(repr=False)
    modality: str
    uri: str = field(repr=False)
    inference_type: InferenceType


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list; None: any. `tenant` is whose, and `cursor` is where the last page ended."""

    study_uid: str | None = field(default=None, repr=False)
    state: JobState | None = None
    model: str | None = None
    since: datetime | None = None
    limit: int = 50
    cursor: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result as the ledger stores it, what its caller said of the study, and the escalations that came since."""

    stored: Mapping[str, Any] = field(repr=False)
    context: Mapping[str, str] = field(repr=False)
    escalations: tuple[Mapping[str, Any], ...] = ()

    @property
    def model(self) -> str:
        """The one that read the study; empty where the result does not say."""
        return str((self.stored.get("model") or {}).get("name", ""))


class JobFollower(Protocol):
    """Has an accepted job run, and tells when it has ended."""

    def begin(self, job: Job, waiter_s: float | None = None) -> None:
        """The job may run now; never blocks and never fails: a job that is not begun here is found in the ledger.

        `waiter_s` is how long its caller will wait for the result.
        """
        ...

    def begin_in(self, job: Job, pause_s: float) -> None:
        """The job may run in `pause_s` seconds, unless this is said of it again before."""
        ...

    async def outcome(self, job_id: str, within_s: float) -> JobOutcome | None:
        """What the worker made of a job that was begun here, without asking the ledger; None if it is unknown."""
        ...

    async def follow(self, job_id: str, within_s: float) -> Job:
        """The job when it has ended, or as it stands after `within_s`. Raises JobNotFound."""
        ...

    async def tell_ended(self, job_id: str) -> None:
        """The job was ended here: whoever waits for it, in any replica, need wait no longer."""
        ...


class JobService:
    """Submits, shows and cancels jobs for an authenticated caller, to whom another tenant's job does not exist."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        snapshot: Callable[[], RoutingSnapshot],
        follower: JobFollower,
        executor: Executor,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._snapshot = snapshot
        self._follower = follower
        self._executor = executor
        self._open_jobs = OpenJobs(lambda: ledger.jobs.open_jobs(), settings.max_open_jobs, executor)
        self._sources = settings.all_sources
        self._priority_rules = tuple(each.rule for each in settings.priority_rules)
        self.waiting = 0  # callers that wait for their job now

    async def submit(
        self,
        request: JobRequest,
        caller: Caller,
        idempotency_key: str | None,
        waiter_s: float | None = None,
    ) -> Submitted:
        """Write the job and have it run. A key that was used before gives the job of then, and the same request that
        nobody has begun is this one.

        `waiter_s` is how long the caller will wait for the result; such a caller is told nothing of the job but what
        `wait_for_result` returns, so that its beginning need not wait for the disk. A request that names a variant
        needs the scope `variants:choose`. Raises RequestError or NotReady.
        """
        if request.tester_variant is not None:
            caller.require(Scope.VARIANTS_CHOOSE)
        ranked = priority_of(request.priority, request.context, self._priority_rules)
        trusted = self._settings.trusted_trace_callers
        caller_span = trusted_traceparent(request.traceparent, caller.name, trusted)
        request = replace(request, waits_s=waiter_s, ranked=ranked, traceparent=caller_span)
        try:
            self._check(request)
            await self._open_jobs.require_room()
        except SerinusError:
            submitted = await self._replay(request, caller, idempotency_key)
            if submitted is None:
                raise
        else:
            submitted = await run_in(
                self._executor,
                self._ledger.jobs.submit,
                request,
                idempotency_key=idempotency_key,
                tenant=caller.tenant,
                join=not request.force,
                durable=waiter_s is None,
            )
        if submitted.replayed and waiter_s is None:
            await self._secure(submitted.job)  # the first caller may wait for it still
        self._follower.begin(submitted.job, waiter_s)
        return submitted

    async def _replay(
        self, request: JobRequest, caller: Caller, idempotency_key: str | None
    ) -> Submitted | None:
        """The job that the same key has made before: it is no new work, so that nothing stands against it."""
        if idempotency_key is None:
            return None
        return await run_in(
            self._executor, self._ledger.jobs.replay, request, idempotency_key, tenant=caller.tenant
        )

    async def object_arrived(self, arrival: ObjectArrival, caller: Caller) -> Job:
        """All objects of a study become one job, which runs when the study is complete."""
        check_object(arrival.uri, self._sources.get(self._settings.infer_source))
        await self._open_jobs.require_room()
        wants_triage = arrival.inference_type is InferenceType.TRIAGE
        first = eligible_models(self._snapshot(), None, arrival.modality, triage_only=wants_triage)[0]
        request = JobRequest(
            StudyRef(self._settings.infer_source, arrival.study_uid),
            model=first.model,
            priority=Priority.URGENT if wants_triage else Priority.ROUTINE,
            inference_type=arrival.inference_type.value,
        )
        return await self._add_object(request, arrival.uri, caller)

    async def instance_pushed(self, study_uid: str, instance_uid: str, source: str, caller: Caller) -> Job:
        """One instance of a study was pushed to `source`; its job runs when the study is complete."""
        return await self._add_object(JobRequest(StudyRef(source, study_uid)), instance_uid, caller)

    async def complete_study(self, study_uid: str, caller: Caller) -> int:
        """The caller says that a study is complete; returns how many waiting jobs may run now."""
        released = await run_in(self._executor, self._ledger.jobs.complete_study, study_uid, caller.tenant)
        for job in released:
            self._follower.begin(job)
        return len(released)

    async def get(self, job_id: str, caller: Caller) -> Job:
        """The job as it stands. Raises JobNotFound."""
        job = await run_in(self._executor, self._ledger.jobs.get, job_id)
        caller.require_sight(job.tenant)
        return job

    async def wait(self, job_id: str, seconds: float, caller: Caller) -> Job:
        """The job when it has ended, or as it stands after `seconds`; at once when too many callers wait.

        A wait is a preference (RFC 7240): callers that wait must not keep others from being accepted.
        """
        job = await self.get(job_id, caller)
        if seconds <= 0 or self.waiting >= self._settings.max_waiting_callers:
            return job
        self.waiting += 1
        try:
            return await self._follower.follow(job_id, seconds)
        finally:
            self.waiting -= 1

    async def wait_for_result(self, job: Job, seconds: float) -> JobResult | Job:
        """The result of a job that was just submitted, or the job as it stands after `seconds`.

        A result that the worker itself has told is not read from the ledger again; no other version can have said
        anything of it yet, unless an earlier job made it.
        """
        if self.waiting >= self._settings.max_waiting_callers:
            return await self._secure(job)
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        self.waiting += 1
        try:
            outcome = await self._follower.outcome(job.id, seconds)
            news = None if outcome is None else new_result(outcome)
            if news is not None:
                return JobResult(news, job.context)
            return await self._secure(await self._follower.follow(job.id, max(0.0, deadline - clock())))
        finally:
            self.waiting -= 1

    async def _secure(self, job: Job) -> Job:
        """The job, when the disk has it: before its caller is told that it is accepted. Its end is always there."""
        if job.state not in FINISHED:
            await run_in(self._executor, self._ledger.jobs.secure, job.id)
        return job

    async def list(self, query: JobQuery, caller: Caller) -> tuple[tuple[Job, ...], str | None]:
        """A page of jobs, newest first, and the cursor of the next page if there may be one. Raises Forbidden."""
        return await run_in(
            self._executor,
            self._ledger.jobs.list_jobs,
            tenant=caller.tenant_named(query.tenant),
            study_uid=query.study_uid,
            state=query.state,
            model=query.model,
            since=query.since,
            limit=query.limit,
            cursor=query.cursor,
        )

    async def cancel(self, job_id: str, caller: Caller) -> Job:
        """Cancel the job, and wake those who wait for it. Raises JobNotFound or JobNotCancelable."""
        await self.get(job_id, caller)
        job = await run_in(self._executor, self._ledger.jobs.cancel, job_id)
        await self._follower.tell_ended(job_id)
        return job

    async def result(self, job: Job) -> JobResult:
        """The result of a job. Raises ResultNotReady."""
        stored = await run_in(self._executor, self._ledger.jobs.result, job.id)
        read_by = job.same_as or job.id
        escalations = await run_in(self._executor, self._ledger.escalations.of_job, read_by)
        told = {**stored, "same_as": job.same_as_told}
        return JobResult(told, job.context, tuple(escalations))

    async def in_words(self, job_id: str, caller: Caller) -> JobInWords:
        """What happened to the job beside its reading. Raises JobNotFound."""
        job = await self.get(job_id, caller)
        wants_report = job.wants_failure_sr(by_default=self._settings.failure_sr)
        has_report = await self._has(job, FAILURE_SR)
        return job_in_words(job, wants_report=wants_report, has_report=has_report)

    async def document(self, job: Job, kind: str) -> bytes:
        """A DICOM object of the job.

        Raises ResultNotReady, NoSuchDocument for one that will never exist, or DocumentPurged for one that did.
        """
        if kind not in job.outputs and kind != FAILURE_SR:
            raise NoSuchDocument("the job was not asked for such a document")
        try:
            return await run_in(self._executor, self._ledger.jobs.document, job.id, kind)
        except ResultNotReady:
            if job.state in HAS_RESULT and kind in documents_of(await self.result(job)):
                raise DocumentPurged("the document is no longer kept here") from None
            if job.state in FINISHED or job.state in HAS_RESULT:
                raise NoSuchDocument(f"the job is {job.state} and has no such document") from None
            raise

    async def _has(self, job: Job, kind: str) -> bool:
        try:
            await self.document(job, kind)
        except (NoSuchDocument, ResultNotReady):
            return False
        return True

    async def _add_object(self, request: JobRequest, uri: str, caller: Caller) -> Job:
        submitted = await run_in(
            self._executor,
            self._ledger.jobs.submit_object,
            request.study,
            uri,
            model=request.model,
            priority=request.priority,
            inference_type=request.inference_type,
            tenant=caller.tenant,
            stable_age_s=self._settings.stable_age_s,
        )
        if not submitted.replayed:
            self._follower.begin_in(submitted.job, self._settings.stable_age_s)
        return submitted.job

    def _check(self, request: JobRequest) -> None:
        snapshot = self._snapshot()
        snapshot.require_some()
        if request.study.source not in self._sources:
            raise UnknownSource("no source of that id is configured", "/source")
        if request.model:
            eligible_models(snapshot, request.model)
        if request.callback is not None:
            check_callback(request.callback, self._settings.callback_hosts)
        if request.tester_variant is not None:
            self._check_variant(request.model, request.tester_variant)

    def _check_variant(self, model: str, variant: str) -> None:
        """Say at once what can be known now; whose model will read the study may turn out only later."""
        snapshot = self._snapshot()
        if any(table.frozen for name, table in snapshot.tables.items() if model in ("", name)):
            raise RoutingFrozen(
                "routing is frozen: the champion reads every study, and no other can be chosen"
            )
        if model and variant not in snapshot.table(model).answering:
            raise UnknownVariant("no variant of that name may answer now")


def new_result(outcome: JobOutcome) -> Mapping[str, Any] | None:
    """The result that the worker has just made itself and that is stored; None where there is no such."""
    if outcome.state is not JobState.COMPLETED or outcome.result is None or outcome.result.get("same_as"):
        return None
    return outcome.result


def documents_of(result: JobResult) -> tuple[str, ...]:
    """The kinds of DICOM objects that were made with a result; of an early one only its SR is known."""
    early = (SR,) if result.stored.get("sr_sop_instance_uid") else ()
    return tuple(result.stored.get("documents", early))


def check_callback(url: str, allowed_hosts: tuple[str, ...]) -> None:
    """A callback goes to an allowed host over https, or http on loopback; anything else is refused (SSRF)."""
    try:
        may_be = is_allowed(url, allowed_hosts)
    except ValueError:
        raise UrlRefused("the callback is no address", "/callback") from None
    if not may_be:
        raise UrlRefused("the callback's host is not allowed by this site", "/callback")


def check_object(uri: str, source: SourceSettings | None) -> None:
    """An object is read from the prefixes of the site's own source only; anything else is refused (SSRF)."""
    if not isinstance(source, ObjectSourceSettings):
        raise UnknownSource("this site reads no objects", "/s3_uri")
    try:
        permitted(uri, source.allowed_prefixes)
    except RequestError as error:
        raise UrlRefused(error.detail, "/s3_uri") from None
