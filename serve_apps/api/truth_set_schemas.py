"""The wire of ground-truth sets: the lines that make one, its schedule, and how versions did on it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from canary.truth import TruthSource
from serve_apps.api.schemas import Name, Uid, Wire
from serve_apps.api.truth_schemas import FindingKey
from serve_apps.application.truth_sets import MOST_LINES
from serve_apps.rollout_spec.units import Duration


class SetLabel(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"


class SetLineIn(Wire):
    """What is there of one finding in one study, by whom, and where the study lies."""

    study_uid: Uid
    study_source: Name = Field(description="the id of a configured source")
    series_uid: Uid | None = Field(default=None, description="left out: the version chooses by its own rule")
    finding: FindingKey | None = Field(default=None, description="left out: the model's only one")
    label: SetLabel
    source: TruthSource
    reader: Name = Field(description="a pseudonym or a role, no name")


class TruthSetIn(Wire):
    """A whole set. Other content under the same name is the next version of it."""

    name: Name
    model: Name
    lines: tuple[SetLineIn, ...] = Field(min_length=1, max_length=MOST_LINES)


class ScheduleIn(Wire):
    every: Duration | None = Field(description="null: only when a person asks for it")


class CountsOut(Wire):
    present: int
    absent: int


class TruthSetOut(Wire):
    """A version of a set; `digest` names every study and truth of it."""

    name: str
    version: int
    model: str
    digest: str
    studies: int
    counts: dict[str, CountsOut] = Field(description="by finding")
    every_s: int | None = None
    at: datetime
    actor: str


class TruthSetsOut(Wire):
    """The newest version of each."""

    truth_sets: tuple[TruthSetOut, ...]


class ProportionOut(Wire):
    """`right` of `number`, with the bounds of the exact interval of 95 %; null of no study."""

    right: int
    number: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


class ScoreOut(Wire):
    """`failed` studies are wrong answers; `unread` ones could not be had, or are not read yet, and are left out."""

    finding: str
    sensitivity: ProportionOut
    specificity: ProportionOut
    failed: int
    unread: int


class RunOut(Wire):
    """A version on a version of the set. Until `ended_at` is there it is what was read so far."""

    id: str
    set_version: int
    model: str
    version: str
    digest: str
    at: datetime
    actor: str
    studies: int
    waiting: int
    ended_at: datetime | None = None
    findings: tuple[ScoreOut, ...]


class ResultsOut(Wire):
    """The newest run first."""

    name: str
    runs: tuple[RunOut, ...]
