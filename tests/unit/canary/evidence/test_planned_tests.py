"""Tests that are read once or at planned looks, beside scipy, statsmodels and their own definitions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from canary.evidence.agreement import agreement_of
from canary.evidence.alpha_spending import limits, spent
from canary.evidence.delong import compare_auc
from canary.evidence.moments import Moments
from canary.evidence.observations import ScorePair
from canary.evidence.strata import worse_strata


def moments(values: np.ndarray) -> Moments:
    found = Moments()
    for value in values:
        found = found.add(float(value))
    return found


@pytest.mark.parametrize(("shift", "margin"), [(0.0, 0.05), (0.03, 0.05), (-0.04, 0.05), (0.08, 0.05)])
def test_equivalence_is_that_of_statsmodels(shift: float, margin: float) -> None:
    differences = np.random.default_rng(3).normal(shift, 0.1, 60)
    found = agreement_of(moments(differences), margin)
    expected = ttost_paired(differences, np.zeros(60), -margin, margin)[0]
    assert found.p_equivalent == pytest.approx(expected, rel=1e-6)


def test_bias_is_a_t_test_of_the_mean_against_the_margin() -> None:
    differences = np.random.default_rng(3).normal(0.09, 0.1, 60)
    expected = stats.ttest_1samp(differences, 0.05, alternative="greater").pvalue
    assert agreement_of(moments(differences), 0.05).p_biased == pytest.approx(2 * expected)


def test_the_intervals_hold_the_true_limits_of_agreement_in_95_of_100_samples() -> None:
    rng, true_limit, runs = np.random.default_rng(8), stats.norm.ppf(0.975), 2_000
    inside = 0
    for sample in rng.normal(0, 1, (runs, 100)):
        found = agreement_of(Moments(100, float(sample.mean()), float(sample.var() * 100)), 1.0)
        inside += found.upper_interval[0] <= true_limit <= found.upper_interval[1]
    assert 0.935 <= inside / runs <= 0.965


def test_agreement_without_any_spread_is_certain_and_below_two_pairs_unknown() -> None:
    assert agreement_of(Moments(5, 0.01, 0.0), 0.05).p_equivalent == 0.0
    assert agreement_of(Moments(5, 0.06, 0.0), 0.05).p_biased == 0.0
    with pytest.raises(ValueError):
        agreement_of(Moments(1, 0.0, 0.0), 0.05)


# Lan-DeMets, one-sided 0.025, five equal steps, as printed in tables of the O'Brien-Fleming-like function
PRINTED = (4.877, 3.357, 2.680, 2.290, 2.031)


def test_the_limits_are_those_of_the_printed_tables() -> None:
    assert limits(0.025, (100, 200, 300, 400, 500)) == pytest.approx(PRINTED, abs=1e-3)


@pytest.mark.parametrize("looks", [(100, 200, 300), (50, 200, 300), (40, 250, 260)])
def test_what_is_spent_at_each_look_is_what_a_multivariate_normal_crosses(looks: tuple[int, ...]) -> None:
    found, times = limits(0.05, looks), np.array(looks) / looks[-1]
    covariance = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    for k in range(1, len(looks) + 1):
        below = stats.multivariate_normal.cdf(found[:k], cov=covariance[:k, :k], abseps=1e-7)
        assert 1 - below == pytest.approx(spent(0.05, times[k - 1]), abs=2e-5)


@pytest.mark.parametrize(("alpha", "steps"), [(0.001, 6), (0.01, 1), (0.05, 2), (0.1, 10)])
def test_all_is_spent_at_the_end_and_limits_fall(alpha: float, steps: int) -> None:
    found = limits(alpha, tuple(range(10, 10 * steps + 1, 10)))
    assert spent(alpha, 1.0) == pytest.approx(alpha)
    assert all(later < earlier for earlier, later in pairwise(found))
    assert found[-1] >= stats.norm.isf(alpha) - 1e-6


def scored(seed: int, n: int = 60, *, ties: bool = False) -> list[ScorePair]:
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    shared = rng.normal(0, 1, n) + truth
    scores = [shared + rng.normal(0, s, n) for s in (0.5, 0.8)]
    if ties:
        scores = [np.round(s) for s in scores]
    return [
        ScorePair(positive=bool(t), candidate_score=float(a), champion_score=float(b))
        for t, a, b in zip(truth, *scores, strict=True)
    ]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_delong_by_ranks_is_delong_by_all_pairs(seed: int, ties: bool) -> None:
    pairs = scored(seed, ties=ties)
    auc, variance = delong_by_definition(pairs)
    found = compare_auc(pairs)
    assert (found.candidate, found.champion) == pytest.approx(auc)
    assert found.standard_error == pytest.approx(math.sqrt(variance))


def delong_by_definition(pairs: list[ScorePair]) -> tuple[tuple[float, ...], float]:
    """The structural components of the paper, one pair of studies after the other."""
    scores = np.array([[p.candidate_score, p.champion_score] for p in pairs])
    truth = np.array([p.positive for p in pairs])
    x, y = scores[truth], scores[~truth]
    psi = (x[:, None, :] > y[None, :, :]) + 0.5 * (x[:, None, :] == y[None, :, :])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    covariance = np.cov(v10.T) / len(x) + np.cov(v01.T) / len(y)
    return tuple(psi.mean(axis=(0, 1))), float(np.array([1, -1]) @ covariance @ np.array([1, -1]))


def test_an_auc_is_the_statistic_of_mann_and_whitney() -> None:
    pairs = scored(9, ties=True)
    positive, negative = (
        [p.candidate_score for p in pairs if p.positive is truth] for truth in (True, False)
    )
    expected = stats.mannwhitneyu(positive, negative).statistic / (len(positive) * len(negative))
    assert compare_auc(pairs).candidate == pytest.approx(expected)


def test_a_missing_score_is_the_worst_score() -> None:
    pairs = scored(2)
    silent = [
        ScorePair(positive=p.positive, candidate_score=None, champion_score=p.champion_score) for p in pairs
    ]
    assert compare_auc(silent).candidate == 0.0
    assert compare_auc(silent).champion == compare_auc(pairs).champion


def test_an_auc_of_one_truth_only_is_refused() -> None:
    with pytest.raises(ValueError):
        compare_auc([pair for pair in scored(1) if pair.positive])


@given(e=st.lists(st.floats(-3, 5), min_size=1, max_size=6), fdr=st.floats(0.01, 0.5))
def test_e_bh_names_what_its_definition_names(e: list[float], fdr: float) -> None:
    log10_e = {f"s{i}": value for i, value in enumerate(e)}
    passing = [k for k in range(1, 7) if sum(10**v >= 6 / (k * fdr) * (1 - 1e-12) for v in e) >= k]
    assert len(worse_strata(log10_e, 6, fdr)) == max(passing, default=0)


def test_e_bh_names_the_highest_and_raising_one_takes_none_away() -> None:
    assert worse_strata({"thin": 1.9, "thick": 0.2}, 3, 0.1) == {"thin"}
    assert worse_strata({"thin": 1.9, "thick": 1.3}, 3, 0.1) == {"thin", "thick"}
    assert worse_strata({}, 3, 0.1) == frozenset()
    with pytest.raises(ValueError):
        worse_strata({"a": 0.0, "b": 0.0}, 1, 0.1)
