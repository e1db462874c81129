"""What many runs come to."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.simulation.assumptions import Assumptions
from canary.simulation.simulate import Reason, Spread, simulate, spread, summed
from canary.simulation.walk import Ending, Horizon, Walk
from tests.unit.canary.rollout.builders import NOON, PLAN

NEVER = math.inf
PROMOTED = Walk(
    ending=Ending.PROMOTED,
    reason="version candidate is champion",
    days=20,
    reached=(0, 8, 9, 9, 12, 13, 13),
    promoted=13,
    exposed=80,
    adverse=1,
)
WAITING = replace(
    PROMOTED,
    ending=Ending.WAITING,
    reason="waits for studies: 7 of 60 in this step",
    reached=(0, 30, NEVER, NEVER, NEVER, NEVER, NEVER),
    promoted=NEVER,
    exposed=0,
    adverse=0,
)


def test_shares_are_of_all_runs_and_days_of_those_that_got_there() -> None:
    found = summed(PLAN, [PROMOTED, replace(PROMOTED, promoted=15), WAITING, WAITING])
    assert {ending: share for ending, share in found.shares.items() if share} == {
        Ending.PROMOTED: 0.5,
        Ending.WAITING: 0.5,
    }
    assert sum(found.shares.values()) == 1
    assert found.days_to_promotion == Spread(15, 15)
    assert (found.steps[1].share, found.steps[1].days) == (1.0, Spread(30, 30))
    assert (found.steps[2].share, found.steps[2].days) == (0.5, Spread(9, 9))
    assert (found.exposed, found.adverse) == (Spread(80, 80), Spread(1, 1))
    assert found.steps[2].told == "the approval of 2 people as radiologist and quality"


def test_a_step_that_nobody_did_has_no_days() -> None:
    found = summed(PLAN, [WAITING])
    assert (found.steps[6].share, found.steps[6].days) == (0.0, Spread(None, None))
    assert found.days_to_promotion == Spread(None, None)


def test_reasons_that_differ_in_numbers_only_are_one_and_the_most_frequent_is_first() -> None:
    others = [replace(WAITING, reason=f"waits for studies: {n} of 60 in this step") for n in (8, 12)]
    found = summed(PLAN, [PROMOTED, WAITING, *others])
    assert found.reasons == (
        Reason(Ending.WAITING, 0.75, "waits for studies: 7 of 60 in this step"),
        Reason(Ending.PROMOTED, 0.25, "version candidate is champion"),
    )


def test_nothing_comes_of_no_run() -> None:
    with pytest.raises(ValueError, match="one run"):
        summed(PLAN, [])


@given(values=st.lists(st.one_of(st.floats(0, 1e6), st.just(NEVER)), max_size=30))
def test_a_spread_is_made_of_values_that_came(values: list[float]) -> None:
    found, finite = spread(values), [one for one in values if math.isfinite(one)]
    if not finite:
        assert found == Spread(None, None)
        return
    assert found.median in finite
    assert found.p90 in finite
    assert sum(one <= (found.p90 or 0) for one in finite) >= 0.9 * len(finite)


def test_a_run_is_the_same_whatever_the_number_of_runs_is() -> None:
    site = Assumptions(studies_per_day=400, prevalence=0.1)
    horizon = Horizon(begin=NOON, days=5, every=timedelta(hours=12))
    assert simulate(PLAN, site, horizon, runs=3, seed=4) == simulate(PLAN, site, horizon, runs=3, seed=4)
    one, other = (simulate(PLAN, site, horizon, runs=1, seed=seed) for seed in (4, 5))
    assert one.reasons != other.reasons
