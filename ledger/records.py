"""What goes into the ledger and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from canary.fallback import CallerDeadline
from canary.priority_rules import RankedPriority
from core.errors import SerinusError
from core.priority import Priority, QueueOrder, QueuePlace, queue_order
from core.retry import Attempts
from core.study import StudyRef
from ledger.state import JobState

SR: Final = "sr"
FAILURE_SR: Final = "failure-sr"  # the SR of a study of which there is no result, and why


class LeaseLost(SerinusError):
    """The job went to another worker, or was cancelled: whatever this one says no longer counts.

    Said to a worker and never to a caller, therefore without a code of its own.
    """


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a caller asks for. `model` is empty when the first fitting one is to be taken.

    `tester_variant` is the variant that an authorised tester asked for. `force` has the study read and delivered even
    if the same version has read the same input before. In `deadline_s` its caller needs the answer, and `waits_s` he
    waits for it, counted from its acceptance. `ranked` is what the site's rules make of its priority, `traceparent`
    the span of a trusted caller.
    """

    study: StudyRef
    model: str = ""
    priority: Priority = Priority.ROUTINE
    outputs: tuple[str, ...] = ("json", "sr")
    callback: str | None = field(default=None, repr=False)
    context: Mapping[str, str] = field(default_factory=dict, repr=False)
    inference_type: str = ""
    tester_variant: str | None = None
    force: bool = False
    deadline_s: float | None = None
    waits_s: float | None = None
    ranked: RankedPriority | None = None
    traceparent: str | None = None

    @property
    def ranks_as(self) -> Priority:
        """The priority that counts."""
        return self.priority if self.ranked is None else self.ranked.priority

    def deadline(self, accepted_at: datetime) -> datetime | None:
        """When its caller needs the answer: the deadline that he asks for, else the end of his wait."""
        seconds = self.waits_s if self.deadline_s is None else self.deadline_s
        return None if seconds is None else accepted_at + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands; `stages_s` are the seconds of ended stages.

    `attempt` counts the attempts that were begun and did not end for a reason of somebody else's; `losses` how often
    its worker was lost. The error is that of its last failure, also while it is queued again; `failing_kind` is its
    class, and `failing_since` when the failures of that kind began. `same_as` is the job whose reading answered this
    one; that of another tenant is not told to anybody (`same_as_told`).
    `priority` is the one that counts; `priority_rule` names the rule of the site that changed it. `deadline` is when
    its caller needs the answer, `deadline_s` as he asked for it. `traceparent` is the span of a trusted caller.
    """

    id: str
    tenant: str
    state: JobState
    priority: Priority
    study: StudyRef
    model: str
    inference_type: str
    outputs: tuple[str, ...]
    callback: str | None = field(repr=False)
    context: Mapping[str, str] = field(repr=False)
    created_at: datetime
    finished_at: datetime | None
    attempt: int
    losses: int
    failing_since: datetime | None
    stage: str | None
    stages_s: Mapping[str, float]
    error_code: str | None
    error_detail: str | None
    undelivered: tuple[str, ...] = ()
    tester_variant: str | None = None
    force: bool = False
    same_as: str | None = None
    same_as_foreign: bool | None = None
    failing_kind: str | None = None
    asked_priority: str | None = None
    priority_rule: str | None = None
    deadline: datetime | None = None
    deadline_s: float | None = None
    traceparent: str | None = None

    @property
    def caller_deadline(self) -> CallerDeadline | None:
        """As `canary.fallback` takes it."""
        return None if self.deadline is None else CallerDeadline(self.deadline, self.deadline_s is not None)

    def wants_failure_sr(self, *, by_default: bool) -> bool:
        """Whether an SR is to tell the archive of its failure: its caller wants it, or its site of all SRs."""
        return FAILURE_SR in self.outputs or (by_default and SR in self.outputs)

    @property
    def same_as_told(self) -> str | None:
        """The job that read the same, unless it is another tenant's."""
        return None if self.same_as_foreign else self.same_as

    @property
    def order(self) -> QueueOrder:
        """When it is to begin, in every queue."""
        return queue_order(self.priority, self.created_at)

    @property
    def place(self) -> QueuePlace:
        """Its order, and the lane of its source."""
        return QueuePlace(self.order, self.study.source)

    @property
    def behind(self) -> Attempts:
        """What it has behind it, as `core.retry.after_failure` takes it; the attempt that runs is not among it."""
        running = self.state is JobState.RUNNING
        return Attempts(self.attempt - running, self.losses, self.failing_since)


@dataclass(frozen=True, slots=True)
class WaitingJobs:
    """How many jobs wait for a worker, and how long ago the oldest of them was accepted."""

    number: int
    oldest: timedelta


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that nobody has in hand and that may run now."""

    id: str
    place: QueuePlace


@dataclass(frozen=True, slots=True)
class Submitted:
    job: Job
    replayed: bool


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job in the hands of one worker; `token` fences every later write about it."""

    job: Job
    token: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something that must be brought somewhere: a document of a finished job, or a payload."""

    kind: str
    destination: str = field(repr=False)
    document: str | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class FormerReports:
    """What stands in the archive of a model and a study, as Part 10 files, before a job's own report.

    `sr` is the newest SR of a result; `failure_sr` the newest that says that there is none, if that one is newer.
    """

    sr: bytes | None = field(default=None, repr=False)
    failure_sr: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery in the hands of one worker. `lane` is the store or host that it goes to, shared with others.

    `attempt` counts from 1, `losses` the workers that were lost with it. `job_id` is empty where it belongs to none.
    """

    id: str
    job_id: str
    kind: str
    destination: str = field(repr=False)
    lane: str = field(repr=False)
    document: str | None
    payload: Mapping[str, Any] | None = field(repr=False)
    attempt: int
    losses: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that was given up, with the code of its last error."""

    id: str
    job_id: str
    kind: str
    lane: str = field(repr=False)
    document: str | None
    attempt: int
    error_code: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    digest: str
