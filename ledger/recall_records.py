"""What a recall is in the ledger: the list, its items, and what people are told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from canary.recall import Comparison, FindingChange, RecallRank
from canary.rollout.status import RolloutPhase
from core.study import StudyRef


@dataclass(frozen=True, slots=True)
class WithdrawnRun:
    """A run of a rollout that went back and of which no list was made; `ended_at` is None while it goes back."""

    model: str
    version: str
    run: int
    began_at: datetime
    phase: RolloutPhase
    reason: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewRecall:
    """What a list is about: the studies that `version` answered since then. `run` is None without a rollout's run."""

    model: str
    version: str
    since: datetime
    reason: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """A list as it is kept. Studies that were answered before `taken_up_to` are on it; none comes any more once it
    `is_complete`.
    """

    id: str
    model: str
    version: str
    run: int | None
    since: datetime
    made_at: datetime
    made_by: str
    reason: str
    taken_up_to: datetime
    is_complete: bool


@dataclass(frozen=True, slots=True)
class RecalledStudy:
    """A study that the version answered: the job that has the result, the job that read it, and the result as it was
    delivered; `result` is empty where the job is no longer kept.
    """

    job_id: str
    reading_id: str
    tenant: str
    study_key: str
    answered_at: datetime
    variant: str
    result: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewRecallItem:
    """A study for the list, and what was delivered of it, in the form of a shadow's outcome."""

    study: RecalledStudy
    delivered: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reread:
    """The champion's reading of an item's study: what it says, or the code of the error that it ended with."""

    item: str
    delivered: Mapping[str, Any] = field(repr=False)
    champion: str
    outcome: Mapping[str, Any] | None = field(repr=False)
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class ToReread:
    """An item that the champion has still to read. `study` is None where the job is no longer kept."""

    item: str
    reading_id: str
    study_key: str
    delivered: Mapping[str, Any] = field(repr=False)
    study: StudyRef | None = field(repr=False)
    series_uid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ComparedItem:
    """What came of a champion's reading."""

    reread: Reread
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class SentDocument:
    """Where a document of the job went: its kind, the store or host, the state of the delivery, and since when."""

    kind: str
    destination: str
    state: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecallItem:
    """An item for people: the newest answer to a study, as `job_id` got it, and the documents of all jobs that the
    version answered of the study. `study_uid` and `sr_uid` are None where the job is no longer kept.
    """

    rank: RecallRank
    job_id: str
    tenant: str
    variant: str
    champion: str | None
    reread_at: datetime | None
    error_code: str | None
    changes: tuple[FindingChange, ...]
    study_uid: str | None = field(default=None, repr=False)
    sr_uid: str | None = field(default=None, repr=False)
    documents: tuple[SentDocument, ...] = ()
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OpenRecall:
    """A list on which something waits for a person."""

    model: str
    recall: str
    version: str
    run: int | None
    open_items: int
    to_look_now: int
