"""What a metric takes of a row: which version it speaks of, with which weight, truth and stratum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.evidence.metric import MetricKind
from canary.evidence.observations import AssignedStudy, DiagnosisPair
from canary.paired_truth import PairedOutcome, Stratum
from canary.truth import TruthLabel, TruthSource
from ledger.rollout_feed import DrawnStudy, Place
from serve_apps.application.evidence_rows import (
    OF_DRAWS,
    OF_PAIRS,
    OF_TRUTHS,
    UNREAD,
    assigned_studies,
    diagnosis_pair,
    first_of_patients,
    labels_of,
)
from tests.unit.ledger.conftest import NOON, after

NORTH = Stratum("north", "CT", "")
DRAWN = DrawnStudy(Place(NOON, "patient:p"), "canary", "2", {"canary": 500, "baseline": 500}, True, NORTH)
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
)


def test_each_kind_of_metric_has_one_source_or_a_reason_why_it_has_none() -> None:
    sources = [*OF_DRAWS, *OF_PAIRS, *OF_TRUTHS, *UNREAD]
    assert sorted(sources) == sorted(MetricKind)


@pytest.mark.parametrize(
    ("arm", "version", "in_canary"),
    [("canary", "2", True), ("baseline", "1", False), ("champion", "1", False)],
)
def test_a_drawn_study_tells_its_arm_and_the_canarys_weight(arm: str, version: str, in_canary: bool) -> None:
    drawn = replace(DRAWN, arm=arm, version=version)
    assert list(assigned_studies([drawn], candidate="2", stable="1")) == [
        AssignedStudy(in_canary=in_canary, failed=True, weight_bp=500, strata=("site=north", "modality=CT"))
    ]


@pytest.mark.parametrize(("arm", "version"), [("canary", "3"), ("champion", "3"), ("canary", "1")])
def test_a_study_of_another_version_says_nothing(arm: str, version: str) -> None:
    assert not list(assigned_studies([replace(DRAWN, arm=arm, version=version)], candidate="2", stable="1"))


@pytest.mark.parametrize("truth", [TruthLabel.PRESENT, TruthLabel.ABSENT])
def test_who_is_not_right_is_wrong(truth: TruthLabel) -> None:
    positive = truth is TruthLabel.PRESENT
    assert diagnosis_pair(replace(OUTCOME, truth=truth)) == DiagnosisPair(
        positive=positive,
        candidate_positive=not positive,
        champion_positive=positive,
        strata=("site=north", "modality=CT"),
    )


def test_a_patient_counts_once_for_what_is_present_and_once_for_what_is_absent() -> None:
    second = replace(OUTCOME, pair="b", arrived_at=after(1))
    absent = replace(OUTCOME, pair="c", arrived_at=after(2), truth=TruthLabel.ABSENT)
    assert list(first_of_patients([absent, second, OUTCOME])) == [OUTCOME, absent]


def test_a_part_of_a_stratum_that_is_not_known_is_left_out() -> None:
    assert labels_of(Stratum()) == ()
    assert labels_of(Stratum(scanner="CT-2")) == ("scanner=CT-2",)
