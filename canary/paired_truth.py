"""Who was right? Two versions' readings of a patient beside the truth, in the order in which that became known. Pure.

This is what evidence takes. Its order is a key of what the ledger keeps, so that a recomputation takes the same
outcomes in the same order: (`arrived_at`, the truth's sequence, the pair's id). `arrived_at` is the moment from which
all was known that the outcome is made of: the pair, the truth in force, and with which probability it would be known.

What comes later therefore stands later, whenever the study was read; nothing is put in between. A truth that is
replaced or withdrawn takes its outcome away, and the new one comes at that later moment. So whoever took n outcomes
up to a key goes on behind it while there are still n up to it, and else takes all anew. `as_of` gives what was known
at a moment, so that a verdict of the past is computed again to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from canary.adjudication import NO_RESULT
from canary.disagreement import FindingStatus
from canary.truth import Truth, TruthLabel, TruthSource, in_force

KNOWN_BEFORE: Final = 0  # truths that are told are numbered from 1
SILENT: Final = frozenset({NO_RESULT, FindingStatus.NOT_REPORTED.value})  # no answer about the finding


@dataclass(frozen=True, slots=True)
class Stratum:
    """Where an image came from, as routing knows it; a part that is not known is empty."""

    site: str = ""
    modality: str = ""
    scanner: str = ""


@dataclass(frozen=True, slots=True)
class PairedReading:
    """One patient's first study that both versions read, and what each says of one finding.

    A label as `present`, `absent`, `indeterminate`, `not-reported` or `no-result`, or a measured value, which is None
    where the version gave none. A score is the probability that it gave to the finding, None where it gave none.
    `paired_at` is when both were there; `is_selected`: the adjudication queue asks about it, which it does with
    `inclusion_probability`.
    """

    id: str
    patient: str
    paired_at: datetime
    stratum: Stratum
    is_selected: bool
    inclusion_probability: float
    champion_says: str = ""
    candidate_says: str = ""
    champion_value: float | None = None
    candidate_value: float | None = None
    champion_score: float | None = None
    candidate_score: float | None = None
    study_key: str = ""

    @property
    def is_scored(self) -> bool:
        """Whether each version gave a score, or no answer. An older release kept labels without their scores."""
        sides = (self.champion_says, self.champion_score), (self.candidate_says, self.candidate_score)
        return all(score is not None or says in SILENT for says, score in sides)


@dataclass(frozen=True, slots=True)
class PairedOutcome:
    """Whether each version was right about a patient, whose `truth` is present or absent.

    An estimate of how good a version is weighs the outcome by 1 / `inclusion_probability`. That is 1 where the truth
    is known also from outside the adjudication queue: then the study did not need to be chosen for it. The scores
    are those of the `PairedReading`, which count where it `is_scored`.
    """

    champion_correct: bool
    candidate_correct: bool
    truth: TruthLabel
    stratum: Stratum
    patient: str
    inclusion_probability: float
    source: TruthSource
    arrived_at: datetime
    sequence: int
    pair: str
    champion_score: float | None = None
    candidate_score: float | None = None
    is_scored: bool = False
    study_key: str = ""


@dataclass(frozen=True, slots=True)
class MeasuredOutcome:
    """How far each version's value lies from the true one, in its unit; None where the version gave none."""

    champion_error: float | None
    candidate_error: float | None
    truth: float
    stratum: Stratum
    patient: str
    source: TruthSource
    arrived_at: datetime
    sequence: int
    pair: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A pair whose truth is known, and from when on."""

    pair: PairedReading
    truth: Truth
    arrived_at: datetime
    inclusion_probability: float

    @property
    def order(self) -> tuple[datetime, int, str]:
        return self.arrived_at, self.truth.sequence, self.pair.id


Pairs = Iterable[tuple[PairedReading, Sequence[Truth]]]


def paired_outcomes(pairs: Pairs, as_of: datetime | None = None) -> tuple[PairedOutcome, ...]:
    """Who was right, in order of arrival, each patient once. A truth that is indeterminate judges nobody.

    A version is right when it says what is true; `indeterminate`, silence and failure are never right.
    """
    known = _known(pairs, as_of)
    return tuple(_outcome(one, one.truth.label) for one in known if one.truth.label is not None)


def measured_outcomes(pairs: Pairs, as_of: datetime | None = None) -> tuple[MeasuredOutcome, ...]:
    """How far values lie from the true ones, in order of arrival, each patient once."""
    known = _known(pairs, as_of)
    return tuple(_measured(one, one.truth.value) for one in known if one.truth.value is not None)


def _known(pairs: Pairs, as_of: datetime | None) -> list[_Known]:
    judged = (_judged(pair, truths, as_of) for pair, truths in _once(pairs, as_of))
    return sorted((one for one in judged if one is not None), key=lambda one: one.order)


def _once(pairs: Pairs, as_of: datetime | None) -> Iterable[tuple[PairedReading, Sequence[Truth]]]:
    """Of each patient the first pair, whatever is known of it: a choice by the truth would be no chance."""
    first: dict[str, tuple[PairedReading, Sequence[Truth]]] = {}
    for pair, truths in pairs:
        if as_of is not None and pair.paired_at > as_of:
            continue
        held = first.get(pair.patient)
        if held is None or (pair.paired_at, pair.id) < (held[0].paired_at, held[0].id):
            first[pair.patient] = pair, truths
    return first.values()


def _judged(pair: PairedReading, truths: Sequence[Truth], as_of: datetime | None) -> _Known | None:
    """The pair with its truth in force. An answer from the queue counts for a pair that the queue chose, no other:
    else whether it is known would hang on another pair of versions.
    """
    usable = [truth for truth in truths if pair.is_selected or not truth.from_queue]
    truth = in_force(usable, as_of)
    if truth is None or not truth.decides:
        return None
    withdrawn = [t.withdrawn_at for t in usable if t.withdrawn_at is not None and not t.counts_at(as_of)]
    anyway = [t.received_at for t in usable if t.counts_at(as_of) and t.decides and not t.from_queue]
    moments = [
        pair.paired_at,
        truth.received_at,
        *_up_to(withdrawn, as_of),
        *([min(anyway)] if anyway else []),
    ]
    return _Known(pair, truth, max(moments), 1.0 if anyway else pair.inclusion_probability)


def _up_to(moments: Sequence[datetime], as_of: datetime | None) -> list[datetime]:
    return [at for at in moments if as_of is None or at <= as_of]


def outcome_beside(pair: PairedReading, label: TruthLabel, source: TruthSource) -> PairedOutcome:
    """Who was right about a study whose truth was known before both read it, as that of a ground-truth set is."""
    return _judge(pair, label, source, arrived_at=pair.paired_at, sequence=KNOWN_BEFORE, inclusion=1.0)


def _outcome(known: _Known, label: TruthLabel) -> PairedOutcome:
    return _judge(
        known.pair,
        label,
        known.truth.source,
        arrived_at=known.arrived_at,
        sequence=known.truth.sequence,
        inclusion=known.inclusion_probability,
    )


def _judge(
    pair: PairedReading,
    label: TruthLabel,
    source: TruthSource,
    *,
    arrived_at: datetime,
    sequence: int,
    inclusion: float,
) -> PairedOutcome:
    return PairedOutcome(
        champion_correct=pair.champion_says == label.value,
        candidate_correct=pair.candidate_says == label.value,
        truth=label,
        stratum=pair.stratum,
        patient=pair.patient,
        inclusion_probability=inclusion,
        source=source,
        arrived_at=arrived_at,
        sequence=sequence,
        pair=pair.id,
        champion_score=pair.champion_score,
        candidate_score=pair.candidate_score,
        is_scored=pair.is_scored,
        study_key=pair.study_key,
    )


def _measured(known: _Known, value: float) -> MeasuredOutcome:
    pair, truth = known.pair, known.truth
    return MeasuredOutcome(
        champion_error=None if pair.champion_value is None else pair.champion_value - value,
        candidate_error=None if pair.candidate_value is None else pair.candidate_value - value,
        truth=value,
        stratum=pair.stratum,
        patient=pair.patient,
        source=truth.source,
        arrived_at=known.arrived_at,
        sequence=truth.sequence,
        pair=pair.id,
    )
