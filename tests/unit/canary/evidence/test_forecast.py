"""A forecast says when half of the rollouts will have decided, and warns of a plan that cannot."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from canary.evidence.forecast import (
    Exposure,
    Forecast,
    Site,
    bet_studies,
    canary_studies,
    divergence,
    forecast,
    latency_pairs,
    slo_studies,
    tost_pairs,
    unpaired_studies,
)
from canary.evidence.metric import Hypothesis, MetricKind
from tests.unit.canary.evidence.metrics import ERRORS, SENSITIVITY, SHADOW_ERRORS, spec_of

SITE = Site(studies_per_day=400, prevalence=0.1)
CANARY, SHADOW = Exposure(weight_bp=500), Exposure(shadow_bp=10_000)


def equal(discordance: float) -> list[tuple[float, float]]:
    return [(-1.0, discordance / 2), (1.0, discordance / 2), (0.0, 1 - discordance)]


# medians as simulated: benchmarks/evidence.md, and for the last two a simulation of their own
@pytest.mark.parametrize(
    ("formula", "simulated"),
    [
        (canary_studies(0.01, 0.02, 0.05, 0.05), 865),
        (canary_studies(0.01, 0.03, 0.05, 0.05), 237),
        (canary_studies(0.01, 0.03, 0.05, 0.01), 394),
        (canary_studies(0.01, 0.05, 0.05, 0.05), 85),
        (bet_studies([(-1.0, 0.0297), (1.0, 0.0097), (0.0, 0.9606)], 0.05), 514),
        (bet_studies(equal(0.04), 0.025, margin=0.05), 172),
        (bet_studies(equal(0.10), 0.025, margin=0.05), 341),
        (bet_studies(equal(0.10), 0.025, margin=0.03), 879),
        (bet_studies(equal(0.20), 0.025, margin=0.05), 601),
        (slo_studies(0.01, 0.03, 0.05), 231),
        (latency_pairs(math.log(1.2), 0.4, 0.01, 100), 47),
    ],
)
def test_the_formulas_come_near_the_simulated_medians(formula: float, simulated: float) -> None:
    assert formula == pytest.approx(simulated, rel=0.2)


def test_a_small_canary_cannot_verify_sensitivity_and_a_shadow_can() -> None:
    by_canary = decision(forecast(SENSITIVITY, SITE, CANARY), Hypothesis.NON_INFERIORITY)
    by_shadow = decision(forecast(SENSITIVITY, SITE, SHADOW), Hypothesis.NON_INFERIORITY)
    assert by_canary.warning == "a 5 % canary cannot verify sensitivity: 149 days"
    assert by_canary.days == math.inf
    assert by_shadow.warning is None
    assert 8 <= by_shadow.days <= 9
    assert by_shadow.unit == "positive studies"


def decision(forecasts: tuple[Forecast, ...], hypothesis: Hypothesis) -> Forecast:
    (found,) = (f for f in forecasts if f.hypothesis is hypothesis)
    return found


def test_a_canary_needs_days_where_a_shadow_needs_hours() -> None:
    (by_canary,) = forecast(ERRORS, SITE, CANARY)
    (by_shadow,) = forecast(SHADOW_ERRORS, SITE, SHADOW)
    assert 15 < by_canary.days < 25
    assert by_shadow.days < 3


@pytest.mark.parametrize("kind", MetricKind)
def test_a_metric_that_nothing_feeds_is_warned_of(kind: MetricKind) -> None:
    for found in forecast(spec_of(kind), SITE, Exposure()):
        assert found.days == math.inf
        assert found.warning is not None
        assert "no study feeds it" in found.warning


def test_a_decision_beyond_the_horizon_is_warned_of() -> None:
    rare = replace(SITE, prevalence=0.01)
    found = decision(forecast(SENSITIVITY, rare, SHADOW), Hypothesis.NON_INFERIORITY)
    assert found.warning == f"this plan cannot verify sensitivity: {found.days:.0f} days"


def test_too_few_planned_measurements_are_warned_of() -> None:
    (few,) = forecast(spec_of(MetricKind.MEASUREMENT), SITE, SHADOW)
    (enough,) = forecast(spec_of(MetricKind.MEASUREMENT, planned_looks=(60,)), SITE, SHADOW)
    assert few.warning == "40 pairs are planned, and 52 are needed"
    assert enough.warning is None


def test_a_limit_that_ends_a_metric_before_it_can_decide_is_warned_of() -> None:
    found = decision(
        forecast(replace(SENSITIVITY, futility_limit=200), SITE, SHADOW), Hypothesis.NON_INFERIORITY
    )
    assert found.warning == "sensitivity ends at 200 positive studies, and 344 are needed"


def test_more_guardrails_take_longer_and_a_critical_one_does_not() -> None:
    (one,), (ten,) = (forecast(ERRORS, SITE, CANARY, guardrails=k) for k in (1, 10))
    assert ten.observations == pytest.approx(one.observations * math.log(1_000) / math.log(100), abs=2)
    assert forecast(replace(ERRORS, critical=True), SITE, CANARY, guardrails=10) == (one,)


@given(p=st.floats(0.001, 0.999), q=st.floats(0.001, 0.999))
def test_the_divergence_is_that_of_scipy(p: float, q: float) -> None:
    assert divergence(p, q) == pytest.approx(stats.entropy([p, 1 - p], [q, 1 - q]), abs=1e-9)


def test_fixed_sample_sizes_are_the_textbook_ones() -> None:
    assert unpaired_studies(0.9, 0.05, 0.05, 0.025) == pytest.approx(297.4, abs=0.1)
    assert (tost_pairs(0.1, 0.05, 0.05), tost_pairs(0.1, 0.03, 0.05)) == (44, 121)


def test_what_never_grows_never_decides() -> None:
    assert bet_studies([(0.0, 1.0)], 0.05) == math.inf
    assert latency_pairs(-0.1, 0.4, 0.01, 100) == math.inf
