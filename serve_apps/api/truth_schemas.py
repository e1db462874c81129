"""The wire of truths and of the adjudication queue."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from canary.truth import TruthLabel, TruthSource
from serve_apps.api.schemas import NO_NUL, IsoTime, Name, Wire

FINDING_PATTERN = r"^[^\x00@]{1,64}@[^\x00@]{1,16}$"
FindingKey = Annotated[str, StringConstraints(pattern=FINDING_PATTERN, max_length=81)]
Unit = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=16)]
Note = Annotated[str, StringConstraints(pattern=NO_NUL, min_length=1, max_length=1000)]
FURTHEST = 1e9


class TruthIn(Wire):
    """What was really there: a `label`, or for a model that measures a `value` with its `unit`."""

    model: Name
    finding: FindingKey | None = Field(
        default=None,
        description="code@scheme, as the model's spec names it; left out: the model's only one",
    )
    label: TruthLabel | None = None
    value: float | None = Field(
        default=None, strict=True, ge=-FURTHEST, le=FURTHEST, allow_inf_nan=False, description="measured"
    )
    unit: Unit | None = Field(default=None, description="UCUM, as the model measures in: ml")
    source: TruthSource
    reader: Name = Field(description="a pseudonym or a role, no name: reaches no log and no report")
    read_at: IsoTime = Field(description="when the source looked, not when it was sent")
    note: Note | None = Field(
        default=None, description="reaches no log; goes with the jobs, long before the truth itself"
    )

    @model_validator(mode="after")
    def _is_a_label_or_a_value(self) -> Self:
        if (self.label is None) == (self.value is None):
            raise ValueError("a truth is a label or a value")
        if (self.value is None) != (self.unit is None):
            raise ValueError("a value has a unit, and nothing else has")
        return self


class TruthOut(Wire):
    """A truth as it is kept. `in_force`: it is the one that counts of those about its finding."""

    id: str
    tenant: str
    model: str
    finding: str
    label: TruthLabel | None = None
    value: float | None = None
    unit: str | None = None
    source: TruthSource
    reader: str
    read_at: datetime
    received_at: datetime
    withdrawn_at: datetime | None = None
    in_force: bool
    adjudication: str | None = Field(default=None, description="the item of the queue that it answers")
    note: str | None = None


class TruthsOut(Wire):
    """All that was told of a study, in the order in which it was told."""

    truths: tuple[TruthOut, ...]


class AdjudicationOut(Wire):
    """A study that is to be read again, blindly: nothing here says what any version said of it."""

    id: str
    study_uid: str
    model: str
    finding: str
    meaning: str
    open_since: datetime


class WorkloadOut(Wire):
    """What is open, and what comes each day, by the last four weeks."""

    open: int
    pairs_per_day: float = Field(description="patients, for each finding and each two versions")
    discordant_share: float | None = Field(default=None, description="of the pairs, those that differ")
    items_per_day: float


class AdjudicationsOut(Wire):
    """The oldest open items, and the forecast of the work."""

    model: str
    items: tuple[AdjudicationOut, ...]
    workload: WorkloadOut


class AnswerIn(Wire):
    """What the reader sees, whatever any version said."""

    label: TruthLabel
    reader: Name = Field(description="a pseudonym or a role, no name")
    read_at: IsoTime | None = Field(default=None, description="left out: now")
    note: Note | None = None


class ArmOut(Wire):
    """One of the two versions, and what it had said."""

    version: str
    label: str


class AnsweredOut(Wire):
    """The truth that the answer became."""

    id: str
    truth: TruthOut
    arms: dict[str, ArmOut] | None = Field(
        default=None,
        description="for an administrator: who had said what. A reader stays blind, for what comes next",
    )
