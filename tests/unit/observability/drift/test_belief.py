"""Where slices hang together, evidence counts for less, and the reference does not alarm against itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.drift.belief import believed
from observability.drift.detector import null_of, watched
from observability.drift.reference import ArmingRule
from observability.drift.signals import SignalGroup, SignalSpec
from tests.unit.observability.drift.sites import known_site

SHARES = np.array([0.5, 0.3, 0.15, 0.05])
OF_DEVICE = np.array([[0.6, 0.3, 0.08, 0.02], [0.05, 0.25, 0.4, 0.3]])


def staying_mix(rng: np.random.Generator, slices: int) -> np.ndarray:
    """Counts (slices, bins) of two devices whose mix stays for eight slices and then changes."""
    part = np.repeat(rng.uniform(size=-(-slices // 8)), 8)[:slices, None]
    return rng.multinomial(200, part * OF_DEVICE[0] + (1.0 - part) * OF_DEVICE[1])


def test_slices_that_are_chance_are_fully_believed() -> None:
    known = np.random.default_rng(4).multinomial(50, SHARES, size=60)
    assert believed(null_of(known), known).belief == 1.0


def test_a_mix_that_stays_for_weeks_is_believed_less_and_then_alarms_no_more() -> None:
    rng = np.random.default_rng(6)
    known = staying_mix(rng, 156)
    null = null_of(known)
    calm = believed(null, known)
    streams = np.array([known[np.arange(104) + start] for start in range(0, 52, 4)])
    alarms = [(watched(one, streams).log_m >= math.log(520)).any(1).mean() for one in (null, calm)]
    assert calm.belief < 1.0
    assert alarms[0] > 0.5
    assert alarms[1] <= 0.2


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_the_same_counts_give_the_same_belief_a_power_of_a_half(seed: int) -> None:
    known = staying_mix(np.random.default_rng(seed), 24)
    first, second = (believed(null_of(known), known).belief for _ in range(2))
    assert first == second
    assert first in [0.5**halvings for halvings in range(9)]


def test_a_reference_keeps_its_beliefs_in_its_digest_and_its_nulls() -> None:
    known = known_site(np.random.default_rng(2))
    doubted = replace(known, signals=tuple(replace(one, belief=0.25) for one in known.signals))
    assert doubted.digest != known.digest
    nulls = [one.null for one in doubted.armed(ArmingRule()).values() if one.null is not None]
    assert {null.belief for null in nulls} == {0.25}
    assert known.calibrated(ArmingRule()).digest == doubted.calibrated(ArmingRule()).digest


def test_a_signal_that_is_not_armed_keeps_its_belief() -> None:
    known = known_site(np.random.default_rng(2))
    assert known.calibrated(ArmingRule(least_studies=10**9)).signals == known.signals


@pytest.mark.parametrize("belief", [0.0, -1.0, 1.5])
def test_a_belief_lies_above_nothing_and_up_to_one(belief: float) -> None:
    with pytest.raises(ValueError, match="belief"):
        SignalSpec("age", SignalGroup.POPULATION, edges=(1.0,), belief=belief)
