"""The e-detector holds its promise, finds what moved, and needs nothing but counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from observability.drift.detector import Evidence, after, begun, null_of, watched
from observability.drift.dispersion import (
    NO_DISPERSION,
    discount,
    fitted_concentration,
    log_probability,
    predictive,
)
from observability.drift.e_bh import found_among

SHARES = np.array([0.5, 0.3, 0.15, 0.04, 0.01])
counts = st.lists(st.integers(0, 30), min_size=2, max_size=6)


@given(seen=counts, data=st.data())
def test_the_probability_of_counts_is_that_of_scipy(seen: list[int], data: st.DataObject) -> None:
    alpha = data.draw(st.lists(st.floats(0.1, 50), min_size=len(seen), max_size=len(seen)))
    arrangements = math.lgamma(sum(seen) + 1) - sum(math.lgamma(n + 1) for n in seen)
    expected = stats.dirichlet_multinomial.logpmf(seen, alpha, sum(seen)) - arrangements
    found = log_probability(np.array(seen), np.array(alpha))
    assert found == pytest.approx(expected, abs=1e-7)


@given(slices=st.lists(st.tuples(*[st.integers(0, 9)] * 5), min_size=1, max_size=12))
def test_without_dispersion_the_evidence_is_the_closed_form_of_two_dirichlet_multinomials(
    slices: list[tuple[int, ...]],
) -> None:
    reference, seen = np.array([[500, 300, 150, 40, 10]]), np.array(slices)
    null = null_of(reference)
    total, bets = seen.sum(0), (20.0, 100.0, 500.0, 2_000.0)
    log_null = log_probability(total, null.posterior)
    each = [float(log_probability(total, c * null.shares) - log_null) for c in bets]
    assert watched(null, seen).log_e[0] == pytest.approx(np.logaddexp.reduce(each) - math.log(4), abs=1e-4)


def test_a_slice_of_studies_multiplies_m_by_a_factor_of_mean_one_under_the_reference() -> None:
    """All 3-bin counts of 6 studies, each by its probability: the mean of M after one slice is 1 exactly."""
    null = null_of(np.array([[60, 30, 9]]))
    every = np.array([(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)])
    chance = stats.dirichlet_multinomial.pmf(every, predictive(null.posterior, null.c0), 6)
    assert float(chance @ np.exp(watched(null, every[:, None, :]).log_m[:, 0])) == pytest.approx(
        1.0, abs=1e-6
    )


def streams(rng: np.random.Generator, shares: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return rng.multinomial(50, shares, size=size)


def alarms(evidence: Evidence, arl: float) -> np.ndarray:
    return (evidence.log_m >= math.log(arl)).any(-1)


@pytest.mark.parametrize("reference_slices", [20, 200])
def test_no_more_streams_alarm_than_the_mean_time_between_alarms_lets_expect(reference_slices: int) -> None:
    """40 slices at one alarm in 400: at most a tenth may, and four standard errors of 160 streams are 0.095."""
    rng = np.random.default_rng(11)
    null = null_of(streams(rng, SHARES, (1, reference_slices))[0])
    assert alarms(watched(null, streams(rng, SHARES, (160, 40))), 400).mean() <= 0.10 + 0.095


def test_weeks_that_waver_are_no_drift_to_a_reference_that_wavered_too() -> None:
    rng = np.random.default_rng(5)

    def wavering(*size: int) -> np.ndarray:
        return np.array([rng.multinomial(200, p) for p in rng.dirichlet(40 * SHARES, size).reshape(-1, 5)])

    null = null_of(wavering(104))
    stream = wavering(80, 52).reshape(80, 52, 5)
    assert null.c0 == pytest.approx(20, rel=0.5)
    assert alarms(watched(null, stream), 1_000).mean() <= 0.052 + 0.1
    naive = type(null)(null.posterior, NO_DISPERSION)
    assert alarms(watched(naive, stream), 1_000).mean() > 0.9


def test_a_fifth_of_the_studies_in_a_rare_bin_is_found_within_a_hundred_studies_and_dated() -> None:
    rng = np.random.default_rng(3)
    null = null_of(streams(rng, SHARES, (1, 200))[0])
    moved = 0.8 * SHARES + 0.2 * np.eye(5)[4]
    stream = np.concatenate([streams(rng, SHARES, (1, 30))[0], streams(rng, moved, (1, 4))[0]])
    evidence = watched(null, stream)
    assert int(np.argmax(evidence.log_m >= math.log(2_000))) in (30, 31)
    assert evidence.began == 30


@settings(max_examples=25)
@given(cut=st.integers(1, 11), seed=st.integers(0, 99))
def test_what_comes_later_does_not_change_what_was_told(cut: int, seed: int) -> None:
    stream = streams(np.random.default_rng(seed), SHARES, (1, 12))[0]
    null = null_of(np.array([[500, 300, 150, 40, 10]]))
    assert np.array_equal(watched(null, stream).log_m[:cut], watched(null, stream[:cut]).log_m)


def test_going_on_slice_by_slice_gives_the_same_bits() -> None:
    stream = streams(np.random.default_rng(8), SHARES, (1, 40))[0]
    null = null_of(np.array([[500, 300, 150, 40, 10]]))
    progress, path = begun(null), []
    for seen in stream:
        progress = after(null, progress, seen)
        path.append(float(progress.log_m))
    assert path == watched(null, stream).log_m.tolist()


def test_old_starts_thin_out_but_the_first_stays() -> None:
    null = null_of(np.array([[50, 50]]))
    evidence = watched(null, np.zeros((600, 2), dtype=int))
    assert evidence.starts[0] == 0
    assert len(evidence.starts) < 80
    assert set(range(584, 600)) <= set(evidence.starts)


def test_slices_without_a_study_are_no_evidence() -> None:
    null = null_of(np.array([[50, 50]]))
    assert np.allclose(watched(null, np.zeros((8, 2), dtype=int)).log_m, np.log(np.arange(1, 9)))


def test_a_slice_of_one_study_tells_all_of_it_and_one_of_many_tells_less() -> None:
    assert discount(np.array([1]), 30.0)[0] == 1.0
    assert discount(np.array([1_000]), 30.0)[0] * 1_000 == pytest.approx(31.0, rel=0.04)


@pytest.mark.parametrize("constant", [np.full((9, 3), [40, 0, 0]), np.zeros((9, 3), dtype=int)])
def test_shares_that_never_move_have_no_dispersion(constant: np.ndarray) -> None:
    assert fitted_concentration(constant) == NO_DISPERSION


@given(log_m=st.dictionaries(st.integers(0, 8), st.floats(-5, 12), min_size=1))
def test_e_bh_names_the_largest_and_as_many_as_may_be(log_m: dict[int, float]) -> None:
    found = found_among(log_m, 5.0)
    assert all(log_m[key] >= 5.0 - math.log(len(found)) for key in found)
    order = sorted(log_m.values(), reverse=True)
    assert not any(value >= 5.0 - math.log(k) for k, value in enumerate(order, 1) if k > len(found))
