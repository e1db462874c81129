"""A simulated run obeys its plan: what promotes it, what stops it, and what it may cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.evidence.metric import MetricKind
from canary.rollout.plan import (
    DAY_S,
    Background,
    Deadline,
    ExposureBudget,
    OnDeadline,
    RolloutPlan,
    Surveillance,
)
from canary.rollout.status import RolloutPhase
from canary.rollout.step import Analysis, ApprovalRule, Pause, SetWeight, Until
from canary.rollout.windows import Calendar, Freeze, Window
from canary.routing_table import BASIS_POINTS
from canary.simulation.assumptions import Assumptions, Scenario, assumed
from canary.simulation.site import SimulatedSite
from canary.simulation.studies import Studies
from canary.simulation.walk import Ending, Horizon, Walk, walk
from tests.unit.canary.rollout.builders import (
    ALL,
    APPROVE,
    CANARY,
    MIRROR,
    NOON,
    PROVE,
    WAIT,
    guardrail,
    plan,
    sensitivity,
)

SHADOW = guardrail("shadow-failures", kind=MetricKind.SHADOW_FAILURES)
LATE = guardrail("late-sensitivity", kind=MetricKind.SENSITIVITY)
METRICS = (sensitivity(), guardrail(), SHADOW, LATE)
STUDIES = Pause(until=Until(min_studies=60, metrics=("canary-failures",)))
RARE = Assumptions(studies_per_day=400, prevalence=0.1, failure_rate=0.001, critical_share=0.0)


def declared(*steps: Any, **changes: Any) -> RolloutPlan:
    given: dict[str, Any] = {
        "metrics": METRICS,
        "background": Background(("shadow-failures", "canary-failures")),
        "surveillance": None,
        "budget": ExposureBudget(),
    }
    return plan(*(steps or (MIRROR, PROVE, APPROVE, CANARY, STUDIES, WAIT, ALL)), **given | changes)


def walked(
    the_plan: RolloutPlan,
    scenario: Scenario = Scenario.SAME,
    *,
    seed: int = 1,
    days: float = 90,
    hours: float = 6,
    **assumptions: Any,
) -> Walk:
    site = replace(assumed(scenario, RARE), **assumptions)
    horizon = Horizon(begin=NOON, days=days, every=timedelta(hours=hours))
    return walk(the_plan, site, horizon, np.random.default_rng(seed))


def share(ending: Ending, the_plan: RolloutPlan, scenario: Scenario, runs: int = 20, **more: Any) -> float:
    return sum(walked(the_plan, scenario, seed=n, **more).ending is ending for n in range(runs)) / runs


def test_an_equal_candidate_is_promoted_step_by_step() -> None:
    found = walked(declared())
    assert found.ending is Ending.PROMOTED
    assert list(found.reached) == sorted(found.reached)
    assert found.promoted == found.reached[-1] == found.days
    assert found.reached[2] - found.reached[1] == 1  # people approve after a day
    assert found.reached[5] - found.reached[4] == 1  # the pause of a day
    assert found.exposed >= 60


def test_a_candidate_that_is_worse_is_mostly_found_and_is_hardly_ever_promoted() -> None:
    assert share(Ending.FAILED, declared(), Scenario.WORSE) >= 0.9
    assert share(Ending.PROMOTED, declared(), Scenario.WORSE) == 0


def test_a_broken_candidate_fails_in_the_shadow_before_any_patient() -> None:
    found = [walked(declared(), Scenario.BROKEN, seed=n) for n in range(10)]
    assert {(one.ending, one.exposed) for one in found} == {(Ending.FAILED, 0)}
    assert all("shadow-failures failed" in one.reason for one in found)


@pytest.mark.parametrize("on", OnDeadline)
def test_silence_promotes_nobody_and_ends_by_the_deadline(on: OnDeadline) -> None:
    quiet = declared(deadline=Deadline(30 * DAY_S, on))
    found = walked(quiet, Scenario.SILENT)
    assert found.ending is (Ending.PAUSED if on is OnDeadline.PAUSE else Ending.FAILED)
    assert found.reason.startswith("no step was done for 30 days")
    assert found.exposed == 0


def test_without_truth_and_without_approvals_it_waits() -> None:
    untold = walked(declared(), days=20, truth_after_s=None)
    unapproved = walked(declared(), days=25, approve_after_s=None)
    assert (untold.ending, unapproved.ending) == (Ending.WAITING, Ending.WAITING)
    assert "sensitivity" in untold.reason
    assert unapproved.reason == "waits for the approval of radiologist and quality"
    assert math.isinf(unapproved.reached[2])


def test_approvals_are_given_by_as_many_people_as_the_plan_asks_for() -> None:
    crowd = Pause(approval=ApprovalRule(("radiologist", "quality"), 4))
    anybody = Pause(approval=ApprovalRule((), 2))
    assert walked(declared(MIRROR, PROVE, crowd, anybody, ALL)).ending is Ending.PROMOTED


def test_late_truth_takes_longer() -> None:
    soon, late = (walked(declared(), truth_after_s=days * DAY_S) for days in (1, 15))
    assert late.reached[1] >= soon.reached[1] + 10


def test_the_budget_of_studies_is_overrun_by_one_stretch_at_most() -> None:
    the_plan = declared(budget=ExposureBudget(studies=40))
    found = walked(the_plan, hours=1, days=40)
    assert found.ending is Ending.WAITING
    assert found.reason == f"holds: the budget is spent: {found.exposed} of 40 exposed studies"
    assert 40 <= found.exposed <= 40 + 8  # of 0.8 an hour


def test_adverse_events_spend_their_budget() -> None:
    found = walked(declared(budget=ExposureBudget(adverse=3)), critical_share=1.0, days=40)
    assert found.adverse >= 3
    assert "adverse events" in found.reason


def test_weights_are_raised_in_windows_and_outside_of_freezes_only() -> None:
    holidays = Freeze(date(2026, 6, 2), date(2026, 6, 20))
    noons = Calendar("Europe/Paris", (Window(frozenset({1}), time(10), time(11)),), (holidays,))
    site = SimulatedSite(
        declared(PROVE, SetWeight(500), STUDIES, ALL, calendar=noons),
        Studies(RARE, np.random.default_rng(3)),
        NOON,
    )
    raised: list[datetime] = []
    found = walked(site.plan)
    while site.now < NOON + timedelta(days=90) and not site.status.has_ended:
        before = site.weight_bp
        site.pass_time(site.now + timedelta(hours=1))
        site.look()
        if site.weight_bp > before:
            raised.append(site.now)
    assert len(raised) >= 1
    for at in raised:
        local = at.astimezone(ZoneInfo("Europe/Paris"))
        assert (local.weekday(), local.hour) == (1, 10)
        assert local.date() > date(2026, 6, 20)
    # the walk looks when a window opens, however seldom it looks else
    assert found.ending is Ending.PROMOTED


def test_a_pause_is_resumed_by_a_person_if_one_comes() -> None:
    hurried = declared(PROVE, SetWeight(500), Pause(until=Until(min_studies=60, max_duration_s=DAY_S)), ALL)
    alone, resumed = walked(hurried), walked(hurried, resume_after_s=DAY_S)
    assert (alone.ending, resumed.ending) == (Ending.PAUSED, Ending.PROMOTED)
    assert alone.reason.startswith("undecided after 1 days")


def test_late_truth_takes_a_promotion_back() -> None:
    """The canary's failures alone promote it, and the truth about what the shadow had read comes after that."""
    quick = declared(
        MIRROR,
        SetWeight(5_000),
        Analysis(("canary-failures",)),
        ALL,
        surveillance=Surveillance(("late-sensitivity",), 90 * DAY_S),
    )
    found = walked(quick, sensitivity=0.3, truth_after_s=10 * DAY_S)
    assert found.ending is Ending.WITHDRAWN
    assert found.promoted < 2
    assert found.days == pytest.approx(10, abs=1)
    assert "late-sensitivity failed" in found.reason
    assert walked(quick, truth_after_s=10 * DAY_S).ending is Ending.PROMOTED


def test_a_silent_trial_is_completed() -> None:
    trial = declared(
        MIRROR, PROVE, background=Background(("shadow-failures",)), regulatory=plan().regulatory.__class__()
    )
    found = walked(trial)
    assert (found.ending, found.exposed) == (Ending.COMPLETED, 0)


def test_a_metric_without_studies_here_has_no_data_and_never_passes() -> None:
    dice = guardrail("dice", kind=MetricKind.DICE)
    found = walked(declared(PROVE, Analysis(("dice",)), ALL, metrics=(*METRICS, dice)), days=30)
    assert found.ending is Ending.WAITING
    assert "the simulation has no studies for it" in found.reason


def test_the_same_generator_gives_the_same_walk() -> None:
    assert walked(declared(), seed=9) == walked(declared(), seed=9)
    assert walked(declared(), seed=9) != walked(declared(), seed=8)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Horizon(begin=datetime(2026, 6, 1), days=1, every=timedelta(hours=1)),
        lambda: Horizon(begin=NOON, days=0, every=timedelta(hours=1)),
        lambda: Horizon(begin=NOON, days=1, every=timedelta(0)),
    ],
)
def test_a_horizon_that_ends_at_once_is_refused(make: Callable[[], Horizon]) -> None:
    with pytest.raises(ValueError, match="horizon"):
        make()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scenario=st.sampled_from(Scenario),
    hours=st.sampled_from([3, 12, 24]),
    discordance=st.floats(0, 0.3),
    adverse=st.integers(1, 6),
)
def test_whatever_comes_nobody_is_exposed_before_evidence_and_approvals(
    seed: int, scenario: Scenario, hours: float, discordance: float, adverse: int
) -> None:
    the_plan = declared(budget=ExposureBudget(studies=100, adverse=adverse))
    site_of = replace(assumed(scenario, RARE), discordance=discordance, failure_rate=0.01)
    site = SimulatedSite(the_plan, Studies(site_of, np.random.default_rng(seed)), NOON)
    site.look()
    for _ in range(200):
        weight_bp = site.weight_bp
        assert weight_bp == 0 or site.status.step >= 3 or site.status.phase is RolloutPhase.PAUSED
        if weight_bp:
            assert len({one.actor for one in site.approvals if one.step == 2}) == 2
            assert site.adverse < adverse
            assert site.exposed < 100 or weight_bp == BASIS_POINTS
        if site.status.phase in (RolloutPhase.FAILED, RolloutPhase.ROLLING_BACK):
            assert weight_bp == 0
        if site.status.is_promoted:
            assert all(site.by_step.values())
        site.pass_time(site.now + timedelta(hours=hours))
        site.look()
