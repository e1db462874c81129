"""Truths and adjudications as they go into the ledger and come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from canary.truth import Truth, TruthLabel, TruthSource


@dataclass(frozen=True, slots=True)
class NewTruth:
    """What a source says of a study, by the study's pseudonym: a label, or a value with its unit (UCUM).

    `reader` is a pseudonym or a role. `pair_id` is the item of the adjudication queue that this answers.
    """

    tenant: str
    study_key: str
    model: str
    finding: str
    source: TruthSource
    reader: str = field(repr=False)
    read_at: datetime
    label: TruthLabel | None = None
    value: float | None = None
    unit: str | None = None
    note: str | None = field(default=None, repr=False)
    pair_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTruth:
    """A truth as it is kept. `told` is what counts of it; reader and note are for people of its tenant only."""

    id: str
    tenant: str
    study_key: str
    model: str
    finding: str
    told: Truth
    unit: str | None
    reader: str = field(repr=False)
    note: str | None = field(default=None, repr=False)
    pair_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddedTruth:
    """`is_new` is false for what was told before: then nothing was changed."""

    truth: StoredTruth
    is_new: bool


@dataclass(frozen=True, slots=True)
class OpenAdjudication:
    """A study that somebody is to read again. It does not say what the versions said, nor which ones they are."""

    id: str
    study_uid: str = field(repr=False)
    model: str
    finding: str
    meaning: str
    open_since: datetime


@dataclass(frozen=True, slots=True)
class AnsweredAdjudication:
    """What the reader says, and only now who had said what: by arm, the version and its label."""

    id: str
    truth: StoredTruth
    arms: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How many labels of two versions were compared since a moment, each patient once, and when the first were."""

    pairs: int
    discordant: int
    first_at: datetime | None
