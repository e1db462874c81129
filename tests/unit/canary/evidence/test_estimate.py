"""Estimates: the sign, the unit and the interval of each kind."""

from __future__ import annotations

import math

import pytest

from canary.evidence.estimate import Estimate, estimate_of
from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import (
    AssignedStudy,
    DiagnosisPair,
    FailurePair,
    LatencyPair,
    MeasurementPair,
    Observation,
)


def estimated(spec: MetricSpec, *observations: Observation) -> Estimate | None:
    return estimate_of(spec, update_all(spec, start(spec), observations).overall)


def test_a_missed_study_lowers_the_sensitivity_in_points_with_its_interval() -> None:
    spec = MetricSpec(name="s", kind=MetricKind.SENSITIVITY)
    right = DiagnosisPair(positive=True, candidate_positive=True, champion_positive=True)
    missed = DiagnosisPair(positive=True, candidate_positive=False, champion_positive=True)
    found = estimated(spec, *[right] * 9, missed)
    assert found is not None
    assert (found.value, found.unit) == (pytest.approx(-10.0), "pp")
    assert found.interval == pytest.approx((-10 - 19.6, -10 + 19.6), abs=0.01)


def test_a_shadow_that_fails_answers_fewer_studies() -> None:
    spec = MetricSpec(name="s", kind=MetricKind.SHADOW_FAILURES)
    found = estimated(spec, FailurePair(candidate_failed=True, champion_failed=False))
    assert found == Estimate("studies answered, candidate minus champion", -100.0, "pp", None)


def test_failures_are_compared_with_what_the_weight_explains() -> None:
    spec = MetricSpec(name="c", kind=MetricKind.CANARY_FAILURES)
    in_canary = AssignedStudy(in_canary=True, failed=True, weight_bp=2_500)
    found = estimated(spec, in_canary, AssignedStudy(in_canary=False, failed=True, weight_bp=2_500))
    assert found is not None
    assert (found.value, found.unit) == (2.0, "ratio")
    slo = MetricSpec(name="o", kind=MetricKind.FAILURES_OVER_SLO, slo=0.02)
    rate = estimated(slo, in_canary, AssignedStudy(in_canary=True, failed=False, weight_bp=1))
    assert rate is not None
    assert (rate.value, rate.unit) == (50.0, "%")


def test_twice_the_time_is_a_ratio_of_two() -> None:
    spec = MetricSpec(name="l", kind=MetricKind.LATENCY)
    pairs = [LatencyPair(candidate_ms=200.0 * way, champion_ms=100.0) for way in (1.0, 1.1, 1 / 1.1)]
    found = estimated(spec, *pairs)
    assert found is not None
    assert found.interval is not None
    assert found.value == pytest.approx(2.0)
    assert found.interval[0] < 2.0 < found.interval[1]
    assert math.sqrt(found.interval[0] * found.interval[1]) == pytest.approx(2.0)


def test_a_relative_measurement_differs_in_percent() -> None:
    spec = MetricSpec(
        name="v",
        kind=MetricKind.MEASUREMENT,
        hypothesis=Hypothesis.NON_INFERIORITY,
        margin=0.1,
        justification="repeat measurements differ by that much",
        relative=True,
        planned_looks=(5,),
    )
    found = estimated(spec, MeasurementPair(candidate=105.0, champion=95.0))
    assert found is not None
    assert (found.value, found.unit) == (pytest.approx(10.0), "%")


@pytest.mark.parametrize("kind", [MetricKind.SENSITIVITY, MetricKind.LATENCY, MetricKind.CANARY_FAILURES])
def test_nothing_seen_is_no_estimate(kind: MetricKind) -> None:
    assert estimated(MetricSpec(name="m", kind=kind)) is None
