"""One proof of harm aborts; promotion needs every proof; what is silent, dry or broken promotes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.judge import judge
from canary.evidence.metric import Hypothesis, Measurement, MetricKind, MetricPhase, MetricSpec
from tests.unit.canary.evidence.metrics import ERRORS, SENSITIVITY, dry, spec_of

SPECIFICITY = replace(SENSITIVITY, name="specificity", kind=MetricKind.SPECIFICITY)
PLAN = (ERRORS, SENSITIVITY, SPECIFICITY)
P = MetricPhase


def told(spec: MetricSpec, phase: P, log10_e: float | None = 0.0, observed: int = 100) -> Measurement:
    return Measurement(spec.name, phase, f"after {observed} studies", log10_e, None, observed)


def all_successful(*specs: MetricSpec) -> list[Measurement]:
    return [told(spec, P.SUCCESSFUL) for spec in specs]


def test_all_proofs_together_promote() -> None:
    found = judge(PLAN, all_successful(*PLAN))
    assert found.phase is P.SUCCESSFUL
    assert found.metrics == ("sensitivity", "specificity")


@pytest.mark.parametrize("missing", PLAN, ids=lambda spec: spec.name)
def test_each_proof_that_is_missing_holds_the_promotion(missing: MetricSpec) -> None:
    rest = all_successful(*(spec for spec in PLAN if spec is not missing))
    found = judge(PLAN, rest)
    assert found.phase is P.RUNNING
    assert found.reason == f"waits for {missing.name}: was not measured yet"


def test_guardrails_alone_never_promote() -> None:
    found = judge([ERRORS], all_successful(ERRORS))
    assert found.phase is P.RUNNING
    assert "no metric that could show non-inferiority" in found.reason


def test_no_metrics_and_no_measurements_promote_nothing() -> None:
    assert judge([], []).phase is P.RUNNING
    assert judge(PLAN, []).phase is P.RUNNING


@pytest.mark.parametrize("phase", P)
def test_a_dry_run_is_told_and_never_counts(phase: P) -> None:
    plan = (*PLAN, dry(replace(SENSITIVITY, name="dry")))
    found = judge(plan, [*all_successful(*PLAN), told(plan[-1], phase, 9.0)])
    assert found == judge(PLAN, all_successful(*PLAN))


def test_a_dry_proof_is_no_proof() -> None:
    assert judge([dry(SENSITIVITY)], all_successful(SENSITIVITY)).phase is P.RUNNING


phases = st.sampled_from(list(P))


@given(errors=phases, sensitivity=phases, specificity=phases)
def test_failure_beats_error_beats_doubt_beats_progress(errors: P, sensitivity: P, specificity: P) -> None:
    given_phases = (errors, sensitivity, specificity)
    found = judge(PLAN, [told(spec, phase) for spec, phase in zip(PLAN, given_phases, strict=True)])
    order = [P.FAILED, P.ERROR, P.INCONCLUSIVE, P.RUNNING, P.SUCCESSFUL]
    assert found.phase is min(given_phases, key=order.index)


def test_an_abort_says_why_in_one_sentence_and_names_the_critical_metric_first() -> None:
    critical = replace(SPECIFICITY, critical=True)
    found = judge((ERRORS, critical), [told(ERRORS, P.FAILED, 2.9), told(critical, P.FAILED, 2.1, 7)])
    assert found.reason == "aborted by specificity after 7 studies"
    assert found.metrics == ("specificity", "errors")


def test_guardrails_that_each_fall_short_abort_together() -> None:
    """The mean of three e-values of 10^2.1 is 10^2.1, which is more than 1/0.01."""
    weak = [told(spec, P.RUNNING, 2.1) for spec in PLAN]
    found = judge(PLAN, weak)
    assert found.phase is P.FAILED
    assert "average of 3 guardrails, log10 E = 2.1 ≥ 2.0" in found.reason
    assert judge(PLAN, [told(spec, P.RUNNING, 1.9) for spec in PLAN]).phase is P.RUNNING


@given(
    e=st.lists(st.floats(-5, 8), min_size=3, max_size=3),
    alphas=st.lists(st.floats(0.001, 0.05), min_size=3, max_size=3),
)
def test_one_guardrail_at_its_share_of_alpha_is_enough_for_the_average(
    e: list[float], alphas: list[float]
) -> None:
    """So that both rules together err no more often than the average alone."""
    plan = [replace(spec, alpha_harm=alpha) for spec, alpha in zip(PLAN, alphas, strict=True)]
    found = judge(plan, [told(spec, P.RUNNING, value) for spec, value in zip(plan, e, strict=True)])
    at_share = any(value >= math.log10(3 / alpha) + 1e-9 for value, alpha in zip(e, alphas, strict=True))
    assert found.phase is P.FAILED or not at_share


def test_a_guardrail_that_is_silent_weighs_the_average_down() -> None:
    assert judge(PLAN, [told(ERRORS, P.RUNNING, 2.3)]).phase is P.RUNNING
    assert judge([ERRORS], [told(ERRORS, P.RUNNING, 2.3)]).phase is P.FAILED


def test_a_critical_metric_has_no_part_in_the_average() -> None:
    plan = (replace(ERRORS, critical=True), SENSITIVITY)
    found = judge(plan, [told(plan[0], P.RUNNING, 50.0), told(SENSITIVITY, P.SUCCESSFUL, 0.5)])
    assert found.log10_e_harm == pytest.approx(0.5)


def test_a_guardrail_that_may_be_without_data_holds_nothing_up() -> None:
    optional = replace(ERRORS, must_have_data=False)
    empty = told(optional, P.INCONCLUSIVE, 0.0, 0)
    proofs = all_successful(SENSITIVITY, SPECIFICITY)
    assert judge((optional, SENSITIVITY, SPECIFICITY), [empty, *proofs]).phase is P.SUCCESSFUL
    assert judge(PLAN, [empty, *proofs]).phase is P.INCONCLUSIVE


def test_a_proof_always_needs_data() -> None:
    optional = replace(SENSITIVITY, must_have_data=False)
    assert judge([optional], [told(optional, P.INCONCLUSIVE, 0.0, 0)]).phase is P.INCONCLUSIVE


def test_planned_tests_count_in_the_average_as_no_evidence() -> None:
    auc = spec_of(MetricKind.AUC, hypothesis=Hypothesis.NO_HARM)
    found = judge((ERRORS, auc), [told(ERRORS, P.RUNNING, 2.2), told(auc, P.RUNNING, None)])
    assert found.log10_e_harm == pytest.approx(2.2 - math.log10(2))
    assert found.phase is P.RUNNING
