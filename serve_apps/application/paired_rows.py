"""From rows of pairs to what metrics take. Pure: the same rows in the same order give the same observations.

A pair that says nothing to a metric gives no observation: None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from canary.evidence.observations import (
    DiagnosisPair,
    FailurePair,
    LatencyPair,
    MeasurementPair,
    OverlapPair,
    ScorePair,
)
from canary.paired_study import Ended
from canary.paired_truth import PairedOutcome
from canary.truth import TruthLabel
from ledger.paired_feed import MeasuredPair, PairedStudy
from serve_apps.application.evidence_rows import labels_of

Told = tuple[str, PairedOutcome]  # of which finding


def failure_pair(study: PairedStudy) -> FailurePair | None:
    """Who failed. A study that either version refused, since it is not for it, is a failure of neither."""
    ended = study.candidate_ended, study.champion_ended
    if Ended.REFUSED in ended:
        return None
    candidate, champion = (one is Ended.FAILED for one in ended)
    return FailurePair(candidate_failed=candidate, champion_failed=champion, strata=labels_of(study.stratum))


def latency_pair(study: PairedStudy) -> LatencyPair | None:
    """How long both worked, where both read the study and both times are known."""
    candidate_ms, champion_ms = study.candidate_ms, study.champion_ms
    if candidate_ms is None or champion_ms is None or min(candidate_ms, champion_ms) <= 0.0:
        return None
    return LatencyPair(candidate_ms=candidate_ms, champion_ms=champion_ms, strata=labels_of(study.stratum))


def overlap_pair(study: PairedStudy) -> OverlapPair | None:
    """How far the candidate's segmentation is that of the champion, which is the reference."""
    if study.overlap is None or not 0.0 <= study.overlap <= 1.0:
        return None
    return OverlapPair(candidate_dice=study.overlap, champion_dice=1.0, strata=labels_of(study.stratum))


def measurement_pair(pair: MeasuredPair, *, relative: bool) -> MeasurementPair:
    """What both measured. A value below 0 has no relative difference: it counts as missing there."""
    candidate, champion = (
        None if value is not None and relative and value < 0.0 else value
        for value in (pair.candidate, pair.champion)
    )
    return MeasurementPair(candidate=candidate, champion=champion)


def each_study_once(sources: Sequence[Sequence[Told]], since: datetime) -> list[Told]:
    """What several sources tell of studies, with the finding, each study as the source told it that came first.

    In order of arrival. Of two at the same moment the later one in the order of the sources counts. What came before
    `since` stays, and takes no study away: it is there for whoever counts a patient once.
    """
    numbered = [(-number, one) for number, source in enumerate(sources) for one in source]
    first: dict[str, tuple[datetime, int]] = {}
    for number, (_, outcome) in numbered:
        if outcome.arrived_at >= since:
            came = outcome.arrived_at, number
            first[outcome.study_key] = min(came, first.get(outcome.study_key, came))
    kept = [
        (finding, outcome)
        for number, (finding, outcome) in numbered
        if outcome.arrived_at < since or first[outcome.study_key][1] == number
    ]
    return sorted(kept, key=lambda one: (one[1].arrived_at, one[1].sequence, one[1].pair))


def first_of_patients(outcomes: Iterable[PairedOutcome]) -> Iterator[PairedOutcome]:
    """In order of arrival, each patient once for what is present and once for what is absent.

    A model of several findings tells several outcomes of one study, which are not independent.
    """
    seen: set[tuple[str, TruthLabel]] = set()
    for outcome in sorted(outcomes, key=lambda one: (one.arrived_at, one.sequence, one.pair)):
        key = outcome.patient, outcome.truth
        if key not in seen:
            seen.add(key)
            yield outcome


def diagnosis_pair(outcome: PairedOutcome) -> DiagnosisPair:
    """A version that is not right is wrong, whether it said the contrary or nothing."""
    is_positive = outcome.truth is TruthLabel.PRESENT
    return DiagnosisPair(
        positive=is_positive,
        candidate_positive=is_positive if outcome.candidate_correct else not is_positive,
        champion_positive=is_positive if outcome.champion_correct else not is_positive,
        strata=labels_of(outcome.stratum),
    )


def score_pair(outcome: PairedOutcome) -> ScorePair | None:
    """Both scores of a study of known truth."""
    if not outcome.is_scored:
        return None
    return ScorePair(
        positive=outcome.truth is TruthLabel.PRESENT,
        candidate_score=outcome.candidate_score,
        champion_score=outcome.champion_score,
        strata=labels_of(outcome.stratum),
    )
