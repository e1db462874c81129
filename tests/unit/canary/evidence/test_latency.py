"""The latency's test is a mixture of likelihoods, silent while there are too few pairs."""

from __future__ import annotations

import math
import random
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from canary.evidence.latency import MIN_PAIRS, log_e_above, log_e_below, sharpness
from canary.evidence.moments import Moments


def moments(values: list[float]) -> Moments:
    found = Moments()
    for value in values:
        found = found.add(value)
    return found


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=50))
def test_moments_are_those_of_the_whole_list(values: list[float]) -> None:
    found = moments(values)
    assert found.mean == pytest.approx(mean(values), abs=1e-6)
    assert found.sd == pytest.approx(stdev(values), abs=1e-5)


@pytest.mark.parametrize(("n", "average"), [(40, 0.1), (40, -0.2), (200, 0.05), (1_000, -0.01)])
def test_the_evidence_is_the_likelihood_ratio_averaged_over_half_a_normal(n: int, average: float) -> None:
    rho2, sd = sharpness(0.01, 100), 0.4
    z = n * average / sd

    def integrand(theta: float) -> float:
        prior = 2 * math.exp(-theta * theta / (2 * rho2)) / math.sqrt(2 * math.pi * rho2)
        return prior * math.exp(theta * z - n * theta * theta / 2)

    expected = integrate.quad(integrand, 0, 12 * math.sqrt(rho2), points=[max(z / n, 0.0)], limit=200)[0]
    found = log_e_above(Moments(n, average, sd * sd * (n - 1)), 0.0, rho2=rho2)
    assert found == pytest.approx(math.log(expected), abs=1e-6)


def test_below_mirrors_above() -> None:
    values, rho2 = moments([0.1, 0.3, -0.2, 0.5] * 20), sharpness(0.01, 100)
    mirrored = moments([-0.1, -0.3, 0.2, -0.5] * 20)
    assert log_e_below(mirrored, -0.05, rho2=rho2) == pytest.approx(log_e_above(values, 0.05, rho2=rho2))


def test_too_few_pairs_and_pairs_without_spread_say_nothing() -> None:
    rho2 = sharpness(0.01, 100)
    few = moments([1.0, 1.1] * (MIN_PAIRS // 2))
    assert log_e_above(few, 0.0, rho2=rho2) > 10
    assert log_e_above(moments([1.0, 1.1] * (MIN_PAIRS // 2 - 1)), 0.0, rho2=rho2) == 0.0
    assert log_e_above(moments([0.1 + 0.2, 0.3] * 50), 0.0, rho2=rho2) == 0.0


def test_equal_versions_are_rarely_called_slower_however_often_one_looks() -> None:
    """Asymptotic, so simulated: log-normal latencies, one pair in twenty five times as long on one side."""
    rng, runs, n, alpha = np.random.default_rng(5), 2_000, 600, 0.05
    x = rng.normal(0, 0.4, (runs, n)) + np.where(rng.random((runs, n)) < 0.05, math.log(5), 0) * rng.choice(
        (-1, 1), (runs, n)
    )
    counts = np.arange(1, n + 1)
    means = x.cumsum(axis=1) / counts
    sds = np.sqrt(np.maximum((x * x).cumsum(axis=1) - counts * means**2, 1e-12) / np.maximum(counts - 1, 1))
    spread = counts * (rho2 := sharpness(alpha, 100)) + 1
    rough = counts * means / sds * np.sqrt(rho2 / spread)
    bound = np.log(2) - 0.5 * np.log(spread) + 0.5 * rough**2
    suspects = ((bound >= -math.log(alpha)) & (rough > 0) & (counts >= MIN_PAIRS)).any(axis=1)
    assert 0.005 < suspects.mean() <= alpha


def test_a_candidate_slower_by_a_fifth_is_found_in_about_sixty_pairs() -> None:
    found = []
    for seed in range(25):
        draw, values, n = random.Random(seed), Moments(), 0
        while log_e_above(values, 0.0, rho2=sharpness(0.01, 100)) < math.log(100) and n < 500:
            values, n = values.add(draw.gauss(math.log(1.2), 0.4)), n + 1
        found.append(n)
    assert 35 <= sorted(found)[12] <= 85
