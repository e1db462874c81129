"""What a metric takes of a pair: who failed, how long both worked, how they overlap, measure and score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from canary.evidence.observations import (
    DiagnosisPair,
    FailurePair,
    LatencyPair,
    MeasurementPair,
    OverlapPair,
    ScorePair,
)
from canary.paired_study import Ended
from canary.paired_truth import PairedOutcome, Stratum
from canary.truth import TruthLabel, TruthSource
from ledger.paired_feed import MeasuredPair, PairedStudy
from serve_apps.application.paired_rows import (
    diagnosis_pair,
    failure_pair,
    first_of_patients,
    latency_pair,
    measurement_pair,
    overlap_pair,
    score_pair,
)
from tests.unit.ledger.conftest import NOON, after

NORTH = Stratum("north", "CT", "")
LABELS = ("site=north", "modality=CT")
STUDY = PairedStudy(NOON, Ended.READ, Ended.READ, NORTH, champion_ms=80.0, candidate_ms=100.0, overlap=0.9)
OUTCOME = PairedOutcome(
    champion_correct=True,
    candidate_correct=False,
    truth=TruthLabel.PRESENT,
    stratum=NORTH,
    patient="p",
    inclusion_probability=1.0,
    source=TruthSource.REPORT,
    arrived_at=NOON,
    sequence=1,
    pair="a",
    champion_score=0.7,
    candidate_score=0.2,
    is_scored=True,
)


@pytest.mark.parametrize("champion", [Ended.READ, Ended.FAILED])
@pytest.mark.parametrize("candidate", [Ended.READ, Ended.FAILED])
def test_a_failure_counts_against_whose_it_is(champion: Ended, candidate: Ended) -> None:
    study = replace(STUDY, champion_ended=champion, candidate_ended=candidate)
    assert failure_pair(study) == FailurePair(
        candidate_failed=candidate is Ended.FAILED, champion_failed=champion is Ended.FAILED, strata=LABELS
    )


@pytest.mark.parametrize("side", ["champion_ended", "candidate_ended"])
def test_a_study_that_one_of_them_refused_is_a_failure_of_neither(side: str) -> None:
    assert failure_pair(replace(STUDY, **{side: Ended.REFUSED})) is None  # type: ignore[arg-type]


def test_latency_is_what_both_worked() -> None:
    assert latency_pair(STUDY) == LatencyPair(candidate_ms=100.0, champion_ms=80.0, strata=LABELS)


@pytest.mark.parametrize("unknown", [None, 0.0])
@pytest.mark.parametrize("side", ["champion_ms", "candidate_ms"])
def test_a_time_that_is_not_known_is_compared_with_none(side: str, unknown: float | None) -> None:
    assert latency_pair(replace(STUDY, **{side: unknown})) is None  # type: ignore[arg-type]


def test_the_champions_segmentation_is_the_reference_of_the_candidates() -> None:
    assert overlap_pair(STUDY) == OverlapPair(candidate_dice=0.9, champion_dice=1.0, strata=LABELS)
    assert overlap_pair(replace(STUDY, overlap=0.0)) is not None, "it segmented nothing, which is an answer"
    assert overlap_pair(replace(STUDY, overlap=None)) is None


@pytest.mark.parametrize(
    ("values", "relative", "taken"),
    [
        ((10.0, 11.0), False, (10.0, 11.0)),
        ((-10.0, 11.0), False, (-10.0, 11.0)),
        ((-10.0, 11.0), True, (None, 11.0)),
        ((0.0, 0.0), True, (0.0, 0.0)),
        ((None, 11.0), True, (None, 11.0)),
    ],
)
def test_a_value_that_has_no_relative_difference_is_missing(
    values: tuple[Any, Any], relative: bool, taken: tuple[Any, Any]
) -> None:
    champion, candidate = values
    assert measurement_pair(MeasuredPair(NOON, champion, candidate), relative=relative) == MeasurementPair(
        candidate=taken[1], champion=taken[0]
    )


def test_a_score_counts_with_its_truth_and_silence_is_the_worst_score() -> None:
    assert score_pair(OUTCOME) == ScorePair(
        positive=True, candidate_score=0.2, champion_score=0.7, strata=LABELS
    )
    silent = score_pair(replace(OUTCOME, candidate_score=None, truth=TruthLabel.ABSENT))
    assert silent is not None
    assert (silent.positive, silent.candidate_score) == (False, None)


def test_a_pair_of_which_only_labels_were_kept_has_no_score() -> None:
    assert score_pair(replace(OUTCOME, is_scored=False)) is None


@pytest.mark.parametrize("truth", [TruthLabel.PRESENT, TruthLabel.ABSENT])
def test_who_is_not_right_is_wrong(truth: TruthLabel) -> None:
    positive = truth is TruthLabel.PRESENT
    assert diagnosis_pair(replace(OUTCOME, truth=truth)) == DiagnosisPair(
        positive=positive,
        candidate_positive=not positive,
        champion_positive=positive,
        strata=LABELS,
    )


def test_a_patient_counts_once_for_what_is_present_and_once_for_what_is_absent() -> None:
    second = replace(OUTCOME, pair="b", arrived_at=after(1))
    absent = replace(OUTCOME, pair="c", arrived_at=after(2), truth=TruthLabel.ABSENT)
    assert list(first_of_patients([absent, second, OUTCOME])) == [OUTCOME, absent]
