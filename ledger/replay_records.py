"""What a replay is: who asked for what, the readings that it is made of, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from canary.explain import DecisionRow
from core.study import StudyRef


class ReplayState(StrEnum):
    ASKING = "asking"  # its tasks are being written; the same request again goes on with it
    READING = "reading"
    DONE = "done"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReplay:
    """The last studies of so many patients that `champion` answered, since a moment or ever, for `candidate` to read.

    `run` is the candidate's rollout against this champion that is under way, whose evidence the pairs will be.
    """

    model: str
    champion: str
    candidate: str
    last: int
    since: datetime | None = None
    run: int | None = None

    def __post_init__(self) -> None:
        if self.last < 1:
            raise ValueError("a replay is of one study or more")


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How the tasks of a batch stand: pending, read, and failed by the code of the error."""

    waiting: int = 0
    done: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReplay:
    """A replay as it stands. `studies`, `known` and `asked` are None until all its tasks were written.

    `studies` of so many patients it is about; `known` were left out, since the candidate had been given the study or
    was paired with the champion on the patient; of `asked` `taken_back` were untouched when it was cancelled.
    """

    id: str
    at: datetime
    actor: str
    about: NewReplay
    studies: int | None
    known: int | None
    asked: int | None
    canceled_at: datetime | None
    taken_back: int
    counts: BatchCounts

    @property
    def state(self) -> ReplayState:
        if self.canceled_at is not None:
            return ReplayState.CANCELED
        if self.asked is None:
            return ReplayState.ASKING
        return ReplayState.READING if self.counts.waiting else ReplayState.DONE

    @property
    def is_open(self) -> bool:
        return self.state in (ReplayState.ASKING, ReplayState.READING)


@dataclass(frozen=True, slots=True)
class AnsweredReading:
    """A study that a version answered: where it lies, whose it is, and the row of its decision."""

    job_id: str
    at: datetime
    study_key: str
    patient: str
    study: StudyRef
    decision: DecisionRow
