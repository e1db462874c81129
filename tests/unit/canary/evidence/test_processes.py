"""Under the null no process gains on average, wherever one stops; checked on every short sequence, not simulated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from canary.evidence.errors_by_arm import RATIOS, observe_against_slo, observe_error
from canary.evidence.paired_difference import (
    HARM_BETS,
    NON_INFERIORITY_BETS,
    observe_harm,
    observe_non_inferiority,
)
from core.mixture import Mixture
from tests.unit.canary.evidence.sequences import expected_e

EXACT = 1e-9


def log10_e(state: Mixture) -> float:
    return state.log10_e


@given(weights=st.lists(st.integers(1, 9_999), min_size=1, max_size=5))
def test_errors_by_arm_gain_nothing_through_any_ramp(weights: list[int]) -> None:
    laws = [((True, w / 10_000), (False, 1 - w / 10_000)) for w in weights]

    def step(state: Mixture, in_canary: bool, index: int) -> Mixture:
        return observe_error(state, in_canary=in_canary, weight_bp=weights[index])

    assert expected_e(laws, Mixture.start(len(RATIOS)), step, log10_e) == pytest.approx(1.0, abs=EXACT)


@given(rate=st.floats(0.0, 1.0), slo=st.floats(0.001, 0.999), n=st.integers(1, 5))
def test_a_version_within_its_slo_gains_nothing(rate: float, slo: float, n: int) -> None:
    rate *= slo

    def step(state: Mixture, failed: bool, _: int) -> Mixture:
        return observe_against_slo(state, failed=failed, slo=slo)

    laws = [((True, rate), (False, 1 - rate))] * n
    assert expected_e(laws, Mixture.start(len(RATIOS)), step, log10_e) <= 1 + EXACT


@given(worse=st.floats(0, 0.5), better=st.floats(0, 0.5), tolerance=st.floats(0, 0.2), n=st.integers(1, 4))
def test_a_candidate_within_the_tolerance_is_not_harmful(
    worse: float, better: float, tolerance: float, n: int
) -> None:
    worse = min(worse, better + tolerance)

    def step(state: Mixture, difference: float, _: int) -> Mixture:
        return observe_harm(state, difference, tolerance=tolerance)

    laws = [((-1.0, worse), (1.0, better), (0.0, 1 - worse - better))] * n
    assert expected_e(laws, Mixture.start(len(HARM_BETS)), step, log10_e) <= 1 + EXACT


@given(better=st.floats(0, 0.4), margin=st.floats(0.01, 0.5), beyond=st.floats(0, 0.1), n=st.integers(1, 4))
def test_a_candidate_worse_by_the_margin_shows_no_non_inferiority(
    better: float, margin: float, beyond: float, n: int
) -> None:
    worse = min(1 - better, better + margin + beyond)
    asked = min(margin, worse - better)

    def step(state: Mixture, difference: float, _: int) -> Mixture:
        return observe_non_inferiority(state, difference, margin=asked)

    laws = [((-1.0, worse), (1.0, better), (0.0, max(0.0, 1 - worse - better)))] * n
    expected = expected_e(laws, Mixture.start(len(NON_INFERIORITY_BETS)), step, log10_e)
    assert expected <= 1 + EXACT


def test_the_expectation_is_one_at_the_margin_itself() -> None:
    """Else the bounds above might hold because nothing ever grows."""

    def step(state: Mixture, difference: float, _: int) -> Mixture:
        return observe_non_inferiority(state, difference, margin=0.05)

    laws = [((-0.35, 0.5), (0.25, 0.5))] * 6
    assert expected_e(laws, Mixture.start(len(NON_INFERIORITY_BETS)), step, log10_e) == pytest.approx(1.0)


@given(outcomes=st.lists(st.booleans(), max_size=40), w=st.integers(1, 9_999))
def test_errors_by_arm_are_the_likelihood_ratio_that_scipy_tells(outcomes: list[bool], w: int) -> None:
    state = Mixture.start(len(RATIOS))
    for in_canary in outcomes:
        state = observe_error(state, in_canary=in_canary, weight_bp=w)
    share, hits, n = w / 10_000, sum(outcomes), len(outcomes)
    theta = share * np.array(RATIOS) / (share * np.array(RATIOS) + 1 - share)
    ratio = stats.binom.logpmf(hits, n, theta) - stats.binom.logpmf(hits, n, share)
    assert state.log_e == pytest.approx(ratio, abs=1e-6)


@given(worse=st.integers(0, 30), better=st.integers(0, 30))
def test_paired_harm_is_mcnemars_binomial_of_the_discordant_pairs(worse: int, better: int) -> None:
    state = Mixture.start(len(HARM_BETS))
    for difference in [-1.0] * worse + [0.0] * 5 + [1.0] * better:
        state = observe_harm(state, difference)
    theta = (1 + np.array(HARM_BETS)) / 2
    n = worse + better
    ratio = stats.binom.logpmf(worse, n, theta) - stats.binom.logpmf(worse, n, 0.5)
    assert state.log_e == pytest.approx(ratio, abs=1e-6)


@pytest.mark.parametrize(("worse", "better"), [(9, 1), (12, 2), (20, 4), (30, 5)])
def test_sequential_evidence_never_outruns_mcnemars_exact_test(worse: int, better: int) -> None:
    """What unlimited looks cost: 1/E is a p-value, and larger than that of one look at the same pairs."""
    state = Mixture.start(len(HARM_BETS))
    for difference in [-1.0] * worse + [1.0] * better:
        state = observe_harm(state, difference)
    once = mcnemar([[0, better], [worse, 0]], exact=True).pvalue / 2
    assert once < 10**-state.log10_e < 1


@given(
    differences=st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    at=st.integers(0, 19),
    gain=st.floats(0, 2),
)
def test_a_better_candidate_never_looks_more_harmful_or_less_proven(
    differences: list[float], at: int, gain: float
) -> None:
    raised = list(differences)
    raised[at % len(raised)] = min(1.0, raised[at % len(raised)] + gain)
    assert paired(raised)[0] <= paired(differences)[0] + EXACT
    assert paired(raised)[1] >= paired(differences)[1] - EXACT


def paired(differences: list[float]) -> tuple[float, float]:
    harm, shown = Mixture.start(len(HARM_BETS)), Mixture.start(len(NON_INFERIORITY_BETS))
    for difference in differences:
        harm = observe_harm(harm, difference)
        shown = observe_non_inferiority(shown, difference, margin=0.05)
    return harm.log10_e, shown.log10_e


@pytest.mark.parametrize("weight", [0, 10_000])
def test_an_error_whose_arm_was_certain_says_nothing(weight: int) -> None:
    state = Mixture.start(len(RATIOS))
    assert observe_error(state, in_canary=True, weight_bp=weight) == state


def test_what_cannot_be_is_refused() -> None:
    state = Mixture.start(len(RATIOS))
    with pytest.raises(ValueError):
        observe_error(state, in_canary=True, weight_bp=-1)
    with pytest.raises(ValueError):
        observe_against_slo(state, failed=True, slo=0.0)
    with pytest.raises(ValueError):
        observe_harm(Mixture.start(len(HARM_BETS)), 1.5)
