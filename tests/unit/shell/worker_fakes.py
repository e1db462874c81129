"""Hand-written fakes of what a JobRunner works with: a ledger in memory, other deployments, a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from canary.gates import SitePolicy
from canary.same_reading import Turn
from core.errors import JobNotFound, LedgerUnavailable, SerinusError
from core.priority import Priority, QueueOrder
from core.retry import RetryPolicy
from core.study import StudyRef
from imaging.packed_mask import Mask
from imaging.patient_facts import PatientFacts
from imaging.report_sr import ReportContext
from imaging.series import SeriesRule
from ledger import ClaimedJob, FormerReports, Job, JobState, LeaseLost, TakenTurn
from observability.record import StudyTrace
from observability.redaction import Pseudonymiser
from serve_apps.application.analyse_study import SiteRules, Workplace
from serve_apps.application.end_job import EndingContext, JobEnding
from serve_apps.application.failure_report import FailureReporter
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.run_job import JobRunner, RunnerContext
from serve_apps.application.study_traces import StudyTraces
from serve_apps.settings import FolderSourceSettings
from tests.reports import source
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version
from tests.unit.shell.inline import Here

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE_S = 15.0


def a_job(job_id: str = "j1", priority: Priority = Priority.ROUTINE, **changes: Any) -> Job:
    job = Job(
        id=job_id,
        tenant="ris",
        state=JobState.QUEUED,
        priority=priority,
        study=StudyRef("pacs", f"1.2.{job_id[1:]}"),
        model="ich-triage",
        inference_type="",
        outputs=("json",),
        callback=None,
        context={},
        created_at=NOW,
        finished_at=None,
        attempt=0,
        losses=0,
        failing_since=None,
        stage=None,
        stages_s={},
        error_code=None,
        error_detail=None,
    )
    return replace(job, **changes)


CT = source(slices=3)


def a_study(**facts: Any) -> FetchedStudy:
    patient = PatientFacts("P1", "A1", None, "CT", "HEAD", "Scanner")
    whole: dict[str, Any] = {
        "model": "ich-triage",
        "rule": SeriesRule(("CT",)),
        "volume": "a reference into the object store",
        "context": ReportContext.of(CT),
        "geometry": CT.geometry,
        "facts": replace(patient, **facts),
        "refused": {},
        "bytes_received": 1,
        "stages": (),
        "content_digest": "c" * 64,
    }
    return FetchedStudy(**whole)


class MemoryLedger:
    """The jobs and leases of one ledger. `away` is for how many calls it does not answer."""

    def __init__(self, *jobs: Job) -> None:
        self.rows = {job.id: job for job in jobs}
        self.holders: dict[str, str] = {}  # token to job id
        self.records: list[StudyTrace | None] = []
        self.results: dict[str, Mapping[str, Any]] = {}
        self.readings: dict[str, str] = {}  # key to job id
        self.calls: list[str] = []
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.away = 0
        self.tokens = 0
        self.stages: list[str] = []

    def get(self, job_id: str) -> Job:
        self._answer("get")
        if job_id not in self.rows:
            raise JobNotFound("no such job")
        return self.rows[job_id]

    def result(self, job_id: str) -> Mapping[str, Any]:
        self._answer("result")
        return self.results[job_id]

    def claim(self, job_id: str, worker: str, lease_s: float) -> ClaimedJob | None:
        self._answer("claim")
        job = self.rows[job_id]
        if job.state is not JobState.QUEUED:
            return None
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.holders[token] = job_id
        self._set(job_id, state=JobState.RUNNING, attempt=job.attempt + 1)
        return ClaimedJob(self.rows[job_id], token)

    def lapse(self, job_id: str) -> None:
        """The lease ran out, and the job waits for another worker."""
        self.holders = {token: held for token, held in self.holders.items() if held != job_id}
        job = self.rows[job_id]
        self._set(job_id, state=JobState.QUEUED, attempt=job.attempt - 1, losses=job.losses + 1)

    def renew(self, tokens: Collection[str], lease_s: float) -> frozenset[str]:
        self._answer("renew")
        return frozenset(tokens) - self.holders.keys()

    def stage(self, token: str, name: str) -> None:
        self._answer("stage")
        self._job_of(token)
        self.stages.append(name)

    def release(self, token: str) -> None:
        job_id = self._end("release", token)
        self._set(job_id, state=JobState.QUEUED, attempt=self.rows[job_id].attempt - 1)

    def complete(self, token: str, **what: Any) -> None:
        job_id = self._end("complete", token, **what)
        self.records.append(what["record"])
        self.results[job_id] = what["result"]
        storing = bool(what["deliveries_to_make"])
        self._set(job_id, state=JobState.STORING if storing else JobState.COMPLETED)

    def complete_as(self, token: str, same_as: str, **what: Any) -> None:
        job_id = self._end("complete_as", token, same_as=same_as, **what)
        self.results[job_id] = what["result"]
        storing = bool(what["deliveries_to_make"])
        self._set(job_id, state=JobState.STORING if storing else JobState.COMPLETED, same_as=same_as)

    async def take_turn(self, token: str, key: str) -> TakenTurn:
        """As `ledger.readings` does, for jobs that all want the same outputs."""
        self._answer("take_turn")
        job_id = self._job_of(token)
        owner = self.readings.get(key, job_id)
        forced = self.rows[job_id].force
        if owner != job_id and not forced and owner in self.results:
            return TakenTurn(Turn.SAME, owner, self.results[owner])
        if owner != job_id and not forced and self.rows[owner].state is JobState.RUNNING:
            return TakenTurn(Turn.WAIT)
        self.readings[key] = job_id
        return TakenTurn(Turn.READ)

    def retry(self, token: str, code: str, detail: str, **what: Any) -> None:
        job_id = self._end("retry", token, code=code, **what)
        self.records.append(what["record"])
        attempt = self.rows[job_id].attempt - (not what["counts"])
        kind = what["kind"].value
        self._set(
            job_id,
            state=JobState.QUEUED,
            attempt=attempt,
            error_code=code,
            error_detail=detail,
            failing_kind=kind,
        )

    def fail(self, token: str, code: str, detail: str, **what: Any) -> None:
        job_id = self._end("fail", token, code=code, **what)
        self.records.append(what["record"])
        self._set(job_id, state=JobState.FAILED, error_code=code, error_detail=detail)

    def _answer(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            self.away -= 1
            raise LedgerUnavailable("the database does not answer")

    def _end(self, call: str, token: str, **what: Any) -> str:
        self._answer(call)
        job_id = self._job_of(token)
        del self.holders[token]
        self.written.append((call, what))
        return job_id

    def _job_of(self, token: str) -> str:
        if token not in self.holders:
            raise LeaseLost("the job is no longer this worker's")
        return self.holders[token]

    def _set(self, job_id: str, **changes: Any) -> None:
        self.rows[job_id] = replace(self.rows[job_id], **changes)


class Deployments:
    """Study reader and model versions: each answers, raises what a test wants in turn, or hangs until told."""

    def __init__(self) -> None:
        self.fetches: list[FetchRequest] = []
        self.predictions: list[tuple[str, QueueOrder]] = []
        self.fetch_errors: list[SerinusError] = []
        self.predict_errors: dict[str, list[SerinusError]] = {}
        self.hanging: dict[str, asyncio.Event] = {}
        self.budgets_s: list[tuple[str, float]] = []
        self.while_fetching: Callable[[], None] = lambda: None
        self.study = a_study()
        self.mask: Mask | None = None
        self.work_ms: float | None = None

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        self.fetches.append(request)
        assert request.deadline_s < deadline_s, "the reader's deadline ends before its caller's"
        if self.fetch_errors:
            raise self.fetch_errors.pop(0)
        await self._hang(request.study.study_uid)
        self.while_fetching()
        return self.study

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        self.predictions.append((version.version, order))
        self.budgets_s.append((version.version, round(deadline_s, 1)))
        await self._hang(version.version)
        errors = self.predict_errors.get(version.version)
        if errors:
            raise errors.pop(0)
        return Inference(a_prediction(version.version, mask=self.mask), (), "cpu", self.work_ms)

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        raise NotImplementedError

    async def _hang(self, name: str) -> None:
        if name in self.hanging:
            await self.hanging[name].wait()


class Notes:
    """AfterJob: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def to_deliver(self, job_id: str) -> None:
        self.told.append(("deliver", job_id))

    def to_shadow(self, job_id: str, study: FetchedStudy) -> None:
        self.told.append(("shadow", job_id))

    def ended(self, job_id: str) -> None:
        self.told.append(("ended", job_id))


RULES = SiteRules(
    site="site",
    policy=SitePolicy.RESEARCH,
    keys=Pseudonymiser(b"k" * 32),
    fetch_s=10.0,
    fetch_call_s=20.0,
    forward_s=60.0,
    stable_reserve_s=5.0,
    canary_timeout_s=30.0,
)


class Workshop:
    """One JobRunner with everything that it works with."""

    def __init__(
        self,
        *jobs: Job,
        slots: int = 1,
        snapshot: RoutingSnapshot | None = None,
        policy: RetryPolicy | None = None,
        stage_shown_after_s: float = 60.0,
        ledger: Any = None,
        failure_sr: bool = False,
    ) -> None:
        self.former = FormerReports()
        self.failure_sr = failure_sr
        self.ledger = ledger or MemoryLedger(*jobs)
        self.deployments = Deployments()
        self.notes = Notes()
        self.snapshot = snapshot or a_snapshot(a_version())
        self.now = NOW
        self.slept: list[float] = []
        self.keeper = LeaseKeeper(self.ledger.renew, LEASE_S)
        self.runner = JobRunner(
            RunnerContext(
                worker="worker-1",
                slots=slots,
                lease_s=LEASE_S,
                claims=self.ledger,
                jobs=self.ledger,
                keeper=self.keeper,
                ending=self._ending(policy or RetryPolicy()),
                place=self._place(),
                ledger=Here(),
                stage_shown_after_s=stage_shown_after_s,
            )
        )

    @property
    def recorded(self) -> list[str]:
        """How each recorded attempt ended: its error code, or `completed`."""
        return [one.error_code or "completed" for one in self.ledger.records if one is not None]

    def _place(self) -> Workplace:
        return Workplace(
            lambda: self.snapshot,
            self.deployments,
            RULES,
            Here(),
            clock=lambda: self.now,
            take_turn=self.ledger.take_turn,
            pause=self._sleep,
        )

    def _ending(self, policy: RetryPolicy) -> JobEnding:
        return JobEnding(
            EndingContext(
                endings=self.ledger,
                policy=policy,
                keys=RULES.keys,
                sources=lambda source: FolderSourceSettings(id="pacs", kind="folder", root="/nowhere"),
                traces=StudyTraces(RULES.keys, "site"),
                after=self.notes,
                ledger=Here(),
                failure_report=FailureReporter(
                    lambda: self.snapshot,
                    lambda *asked: self.former_reports(*asked),
                    Here(),
                    by_default=self.failure_sr,
                ).report,
                clock=lambda: self.now,
                sleep=self._sleep,
            )
        )

    async def former_reports(self, study_uid: str, model: str, before: datetime) -> FormerReports:
        return self.former

    def begin(self, job: Job) -> asyncio.Task[Any]:
        return asyncio.create_task(self.runner.run(job.id, job.place))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def settle(self) -> None:
        """Let what is due now happen."""
        await asyncio.sleep(0)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)
