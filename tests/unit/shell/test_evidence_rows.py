"""What a metric takes of a draw: which version it speaks of, with which weight and stratum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.evidence.metric import MetricKind
from canary.evidence.observations import AssignedStudy
from canary.paired_truth import Stratum
from ledger.rollout_feed import DrawnStudy, Place
from serve_apps.application.evidence_rows import OF_DRAWS, assigned_studies, labels_of
from serve_apps.application.paired_evidence import OF_PAIRS
from tests.unit.ledger.conftest import NOON

NORTH = Stratum("north", "CT", "")
DRAWN = DrawnStudy(Place(NOON, "patient:p"), "canary", "2", {"canary": 500, "baseline": 500}, True, NORTH)


def test_each_kind_of_metric_has_one_source() -> None:
    assert sorted([*OF_DRAWS, *OF_PAIRS]) == sorted(MetricKind)


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


def test_a_part_of_a_stratum_that_is_not_known_is_left_out() -> None:
    assert labels_of(Stratum()) == ()
    assert labels_of(Stratum(scanner="CT-2")) == ("scanner=CT-2",)
