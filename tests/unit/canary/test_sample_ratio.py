"""A split that is not the weight is found; a split that is raises no alarm, however often one looks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.sample_ratio import SampleRatio, judge_ratio, observe, observe_arms
from canary.verdict import Verdict
from tests.shares import share_fits


def stops_after(true_share: float, weight_bp: int, limit: int, seed: int) -> int | None:
    """The number of exposures after which a look at each of them stops, or None."""
    draw, state = random.Random(seed), SampleRatio()
    for n in range(1, limit + 1):
        state = observe(state, chosen=draw.random() < true_share, weight_bp=weight_bp)
        if judge_ratio([state]).verdict is Verdict.FAILED:
            return n
    return None


def test_a_right_split_is_not_alarmed_by_looking_after_every_study() -> None:
    assert [stops_after(0.05, 500, 1_500, seed) for seed in range(40)].count(None) == 40


@pytest.mark.parametrize(("true_share", "median_at_most"), [(0.0, 300), (0.10, 600), (0.20, 150)])
def test_a_wrong_split_is_found_soon(true_share: float, median_at_most: int) -> None:
    stops = sorted(stops_after(true_share, 500, 4_000, seed) or 9_999 for seed in range(15))
    assert stops[7] <= median_at_most


@given(w=st.integers(1, 9_999))
def test_under_the_null_each_step_neither_gains_nor_loses_on_average(w: int) -> None:
    p = w / 10_000
    hit, miss = (observe(SampleRatio(), chosen=c, weight_bp=w) for c in (True, False))
    expected = p * 10**hit.log10_e + (1 - p) * 10**miss.log10_e
    assert expected == pytest.approx(1.0)


def test_a_ramp_is_no_mismatch_because_each_exposure_brings_its_own_weight() -> None:
    draw, state = random.Random(3), SampleRatio()
    for weight in (500, 2_500, 5_000, 10_000):
        for _ in range(400):
            state = observe(state, chosen=draw.random() < weight / 10_000, weight_bp=weight)
    assert judge_ratio([state]).verdict is Verdict.SUCCESSFUL


@pytest.mark.parametrize(("weight", "chosen"), [(0, True), (10_000, False)])
def test_one_study_where_the_weight_allows_none_is_proof(weight: int, chosen: bool) -> None:
    assert judge_ratio([observe(SampleRatio(), chosen=chosen, weight_bp=weight)]).verdict is Verdict.FAILED


def test_no_data_is_inconclusive() -> None:
    assert judge_ratio([]).verdict is Verdict.INCONCLUSIVE
    assert judge_ratio([SampleRatio()]).verdict is Verdict.INCONCLUSIVE


def test_a_starved_arm_of_an_ab_test_is_found() -> None:
    draw, states = random.Random(5), dict[str, SampleRatio]()
    weights = {"arm-a": 5_000, "arm-b": 3_000, "arm-c": 2_000}
    for _ in range(600):
        arm = draw.choices(["arm-a", "arm-b", "arm-c"], [50, 45, 5])[0]
        states = observe_arms(states, arm, weights)
    assert judge_ratio(states.values()).verdict is Verdict.FAILED
    assert sum(s.chosen for s in states.values()) == 600


def test_a_weight_out_of_range_cannot_be_observed() -> None:
    with pytest.raises(ValueError):
        observe(SampleRatio(), chosen=True, weight_bp=10_001)


@pytest.mark.parametrize(("hits", "fits"), [(100, True), (75, True), (60, False), (140, False), (0, False)])
def test_a_share_fits_within_three_sigma(hits: int, fits: bool) -> None:
    assert share_fits(hits, 1_000, 1_000) is fits


@given(n=st.integers(0, 3_000), w=st.integers(0, 10_000))
def test_the_most_likely_count_always_fits(n: int, w: int) -> None:
    assert share_fits(n * w // 10_000, n, w)
