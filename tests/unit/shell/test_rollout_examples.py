"""Each example of a rollout leads a good version to its promotion, and none that harms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from canary.rollout.plan import RolloutPlan
from canary.simulation.assumptions import Assumptions, Scenario, assumed
from canary.simulation.simulate import simulate
from canary.simulation.walk import Ending, Horizon
from serve_apps.rollout_spec.spec_file import read_rollouts

FILES = sorted(Path(__file__).parents[3].joinpath("examples/rollouts").glob("*.yaml"))
SITE = Assumptions(studies_per_day=400, prevalence=0.1)  # the site of docs/rollouts.md
HORIZON = Horizon(begin=datetime(2026, 6, 1, 8, tzinfo=UTC), days=60, every=timedelta(hours=12))
RUNS = 12
GOES_ON = (Ending.PROMOTED, Ending.COMPLETED)


def plans() -> list[RolloutPlan]:
    return [plan for file in FILES for plan in read_rollouts(file.read_text(), file.name)]


@pytest.mark.parametrize("plan", plans(), ids=lambda plan: plan.name)
def test_a_version_as_good_as_the_champion_gets_there_more_often_than_not(plan: RolloutPlan) -> None:
    for scenario in (Scenario.SAME, Scenario.BETTER):
        found = simulate(plan, assumed(scenario, SITE), HORIZON, runs=RUNS, seed=1)
        assert sum(found.shares[ending] for ending in GOES_ON) >= 0.5, found.reasons


@pytest.mark.parametrize("scenario", [Scenario.WORSE, Scenario.BROKEN])
@pytest.mark.parametrize("plan", plans(), ids=lambda plan: plan.name)
def test_a_version_that_harms_is_never_promoted_and_mostly_ended(
    plan: RolloutPlan, scenario: Scenario
) -> None:
    found = simulate(plan, assumed(scenario, SITE), HORIZON, runs=RUNS, seed=1)
    assert sum(found.shares[ending] for ending in (*GOES_ON, Ending.WITHDRAWN)) == 0
    assert found.shares[Ending.FAILED] >= 0.5, found.reasons


def test_there_are_examples() -> None:
    assert plans()
