"""What goes into the ledger and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.errors import SerinusError
from ledger.state import JobState, Priority


class LeaseLost(SerinusError):
    """The job went to another worker, or was cancelled: whatever this one found no longer counts.

    Said to a worker and never to a caller, therefore without a code of its own.
    """


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a caller asks for. `model` is empty when the first fitting one is to be taken.

    `tester_variant` is the variant that an authorised tester asked for.
    """

    study_uid: str = field(repr=False)
    source: str
    series_uids: tuple[str, ...] = field(default=(), repr=False)
    model: str = ""
    priority: Priority = Priority.ROUTINE
    outputs: tuple[str, ...] = ("json", "sr")
    callback: str | None = None
    context: Mapping[str, str] = field(default_factory=dict, repr=False)
    inference_type: str = ""
    tester_variant: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. `attempt` counts how often it was begun; `stages_s` the seconds of ended stages."""

    id: str
    tenant: str
    state: JobState
    priority: Priority
    study_uid: str = field(repr=False)
    source: str
    series_uids: tuple[str, ...] = field(repr=False)
    inputs: tuple[str, ...] = field(repr=False)
    model: str
    inference_type: str
    outputs: tuple[str, ...]
    callback: str | None = field(repr=False)
    created_at: datetime
    finished_at: datetime | None
    attempt: int
    stage: str | None
    stages_s: Mapping[str, float]
    error_code: str | None
    error_detail: str | None
    undelivered: tuple[str, ...] = ()
    tester_variant: str | None = None


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
    """Something a finished job must bring somewhere: a document, or a payload."""

    kind: str
    destination: str
    document: str | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    id: str
    job_id: str
    kind: str
    destination: str = field(repr=False)
    document: str | None
    payload: Mapping[str, Any] | None = field(repr=False)
    attempt: int


@dataclass(frozen=True, slots=True)
class AuditRow:
    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]
    digest: str
