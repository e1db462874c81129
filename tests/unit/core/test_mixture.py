"""A mixture is a mean of e-values that neither overflows nor depends on how it was stored."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.mixture import Mixture, log10_mean, mean_log10

logs = st.floats(-600, 600)


@given(log_e=st.lists(logs, min_size=1, max_size=8))
def test_the_mean_is_that_of_the_e_values(log_e: list[float]) -> None:
    shifted = [value - max(log_e) for value in log_e]
    expected = max(log_e) / math.log(10) + math.log10(sum(map(math.exp, shifted)) / len(log_e))
    assert log10_mean(tuple(log_e)) == pytest.approx(expected, abs=1e-9)


@given(log_e=st.lists(logs, min_size=1, max_size=8))
def test_a_mixture_survives_json_to_the_last_bit(log_e: list[float]) -> None:
    state = Mixture(tuple(log_e))
    assert Mixture(tuple(json.loads(json.dumps(state.log_e)))) == state


def test_evidence_far_beyond_any_float_is_still_told() -> None:
    assert Mixture((5_000.0, 0.0)).log10_e == pytest.approx(5_000 / math.log(10) + math.log10(0.5))


def test_a_mixture_without_observations_is_no_evidence() -> None:
    assert Mixture.start(7).log10_e == 0.0


def test_factors_of_another_number_of_bets_are_refused() -> None:
    with pytest.raises(ValueError):
        Mixture.start(3).times((0.1, 0.2))


@pytest.mark.parametrize(
    ("parts", "mean"), [((0.0, 0.0), 0.0), ((2.0, -300.0), math.log10(50)), ((math.inf, 0.0), math.inf)]
)
def test_e_values_are_averaged_not_their_logarithms(parts: tuple[float, ...], mean: float) -> None:
    assert mean_log10(parts) == pytest.approx(mean)
