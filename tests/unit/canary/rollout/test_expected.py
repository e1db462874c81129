"""When a decision may be expected, and why no date can be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from canary.evidence.forecast import Exposure, Site, forecast
from canary.evidence.metric import Hypothesis, MetricPhase, MetricSpec, MetricState
from canary.evidence.metric_state import start, update_all
from canary.evidence.observations import AssignedStudy, DiagnosisPair, Observation
from canary.rollout.case import Case
from canary.rollout.evidence_told import metrics_seen
from canary.rollout.expected import Expected, expected
from canary.rollout.plan import DAY_S, RolloutPlan
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.step import Analysis, Pause, Until
from canary.rollout.windows import Calendar, Freeze, Window
from tests.unit.canary.rollout.builders import (
    ALL,
    APPROVE,
    CANARY,
    DAY,
    NOON,
    PLAN,
    PROVE,
    WAIT,
    approvals,
    begun,
    evidence,
    plan,
    seen,
    sensitivity,
)

BOTH_RIGHT = DiagnosisPair(positive=True, candidate_positive=True, champion_positive=True)
MISSED = replace(BOTH_RIGHT, candidate_positive=False)
SHOWN = replace(MISSED, candidate_positive=True, champion_positive=False)
PER_DAY = 400.0
SHORT = plan(PROVE, CANARY, WAIT, ALL, budget=PLAN.budget, surveillance=None)


def told(spec: MetricSpec, *studies: Observation, declared: RolloutPlan = PLAN) -> RolloutEvidence:
    """The real evidence of one metric; the others have no study."""
    states: dict[str, MetricState] = {spec.name: update_all(spec, start(spec), studies)}
    metrics = metrics_seen([spec, *(one for one in declared.metrics if one.name != spec.name)], states, {})
    return replace(evidence(), metrics=metrics)


def ask(
    status: RolloutStatus,
    given: RolloutEvidence | None,
    declared: RolloutPlan = PLAN,
    *,
    days: float = 0.0,
    per_day: float | None = PER_DAY,
    approved: bool = False,
) -> Expected:
    given_approvals = approvals("ada:radiologist", "bob:quality") if approved else ()
    what = seen(given, approvals=given_approvals)
    return expected(Case(declared, status, what, NOON + timedelta(days=days)), per_day)


def days_to(at: datetime | None, since: datetime = NOON) -> float:
    assert at is not None
    return (at - since) / DAY


def needed(spec: MetricSpec) -> int:
    site, exposure = Site(studies_per_day=1, prevalence=0.5), Exposure(shadow_bp=10_000)
    return next(
        one.observations
        for one in forecast(spec, site, exposure)
        if one.hypothesis is Hypothesis.NON_INFERIORITY
    )


def test_a_metric_goes_on_from_its_evidence_at_the_pace_of_its_observations() -> None:
    spec = sensitivity()
    given = told(spec, *[BOTH_RIGHT] * 60)  # in two days
    measured = given.metrics["sensitivity"].measured
    assert measured is not None
    assert measured.log10_e_non_inferiority is not None
    missing = needed(spec) * (1 - measured.log10_e_non_inferiority / 1.602)
    found = ask(begun(step=1), given, days=2).step
    assert days_to(found.at, NOON + 2 * DAY) == pytest.approx(missing / 30, rel=1e-3)
    assert "equal to the champion" in found.reason


def test_evidence_against_the_candidate_puts_the_date_off() -> None:
    spec = sensitivity()
    well = ask(begun(step=1), told(spec, *[BOTH_RIGHT] * 60), days=2).step
    badly = ask(begun(step=1), told(spec, *[BOTH_RIGHT] * 56, *[MISSED] * 4), days=2).step
    assert badly.at is not None
    assert well.at is not None
    assert badly.at > well.at


@pytest.mark.parametrize("days", [0.0, 2.0])
def test_a_metric_without_observations_has_no_date(days: float) -> None:
    found = ask(begun(step=1), told(sensitivity()), days=days)
    assert (found.step.at, found.promotion.at) == (None, None)
    assert "too few observations" in found.step.reason


def test_a_metric_that_is_not_measured_says_why() -> None:
    given = replace(evidence(), metrics=metrics_seen((sensitivity(),), {}, {"sensitivity": "nobody told"}))
    assert ask(begun(step=1), given, days=2).step.reason == "sensitivity has no data: nobody told"
    assert "no data" in ask(begun(step=1), None, days=2).step.reason


def test_people_have_no_date_and_the_promotion_has_one_if_they_approve_at_once() -> None:
    waiting = ask(begun(step=2), evidence(canary_failures=MetricPhase.SUCCESSFUL))
    assert waiting.step.at is None
    assert "people" in waiting.step.reason
    assert waiting.promotion.reason.endswith("people approve at once")
    # 10 studies at 5 % of 400 a day, then a pause of a day
    assert days_to(waiting.promotion.at) == pytest.approx(0.5 + 1.0)
    approved = ask(begun(step=2), evidence(canary_failures=MetricPhase.SUCCESSFUL), approved=True)
    assert approved.step.at == NOON
    assert "people" not in approved.promotion.reason


def test_a_guardrail_of_the_canary_waits_for_its_studies_over_all_steps_that_feed_it() -> None:
    ramp = plan(PROVE, CANARY, WAIT, Analysis(("canary-failures",)), ALL, surveillance=None)
    spec = ramp.metric("canary-failures")
    shown = evidence(sensitivity=MetricPhase.SUCCESSFUL).metrics["sensitivity"]

    def with_studies(count: int) -> RolloutEvidence:
        given = told(spec, *[AssignedStudy(in_canary=True, failed=False, weight_bp=500)] * count)
        return replace(given, metrics={**given.metrics, "sensitivity": shown})

    found = ask(begun(ramp, step=1), with_studies(0), ramp)
    assert days_to(found.promotion.at) == pytest.approx(60 / 20)  # 20 of them in the pause of a day
    found = ask(begun(ramp, step=3, weight_bp=500), with_studies(40), ramp)
    assert days_to(found.step.at) == pytest.approx(20 / 20)


@pytest.mark.parametrize("per_day", [None, 0.0])
def test_without_a_pace_a_step_that_waits_for_studies_has_no_date(per_day: float | None) -> None:
    found = ask(begun(step=4, weight_bp=500), evidence(), per_day=per_day)
    assert found.step.at is None
    assert "nobody knows yet how many" in found.step.reason


def test_a_pause_ends_after_its_time_and_what_has_passed_counts() -> None:
    waiting = begun(step=5, weight_bp=500)
    assert ask(waiting, evidence(), days=0.25).step.at == NOON + DAY


def test_a_weight_is_raised_when_a_window_is_open_and_no_freeze_holds() -> None:
    mornings = Calendar("UTC", (Window(frozenset(range(5)), time(8), time(10)),))
    declared = replace(SHORT, calendar=mornings)
    found = ask(begun(declared, step=1), evidence(), declared)
    assert found.step.at == datetime(2026, 6, 2, 8, tzinfo=NOON.tzinfo)
    frozen = replace(SHORT, calendar=Calendar("UTC", (), (Freeze(date(2026, 6, 1), date(2026, 6, 7)),)))
    assert ask(begun(frozen, step=1), evidence(), frozen).step.at == datetime(2026, 6, 8, tzinfo=NOON.tzinfo)
    forever = replace(SHORT, calendar=Calendar("UTC", (), (Freeze(date(2026, 6, 1), date.max),)))
    assert ask(begun(forever, step=1), evidence(), forever).step.reason == "no window opens within a year"


def test_a_step_that_would_take_longer_than_it_may_has_no_date() -> None:
    hurried = plan(
        PROVE, CANARY, Pause(until=Until(min_studies=100, max_duration_s=DAY_S)), ALL, surveillance=None
    )
    found = ask(begun(hurried, step=2, weight_bp=500), evidence(), hurried)
    assert found.step.reason == "step 2 needs 5.0 days as things stand, and pauses after 1"


def test_a_metric_that_would_end_undecided_has_no_date() -> None:
    spec = sensitivity(futility_limit=100)
    declared = replace(PLAN, metrics=(spec, *PLAN.metrics[1:]))
    found = ask(begun(step=1), told(spec, *[BOTH_RIGHT] * 30, MISSED, SHOWN), declared, days=2)
    assert "end undecided" in found.step.reason


def test_a_stratum_with_few_studies_puts_the_date_off() -> None:
    spec = sensitivity(strata=("site",), min_per_stratum=30)
    declared = replace(PLAN, metrics=(spec, *PLAN.metrics[1:]))
    north, south = (replace(BOTH_RIGHT, strata=(f"site={name}",)) for name in ("north", "south"))
    given = told(spec, *[north] * 59, south, declared=declared)  # one of 60 in two days: 29 more take 58
    assert days_to(ask(begun(step=1), given, declared, days=2).step.at) == pytest.approx(2 + 58)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (begun(phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON), "it is paused, and waits for a person"),
        (begun(phase=RolloutPhase.ROLLING_BACK), "it goes back"),
        (begun(phase=RolloutPhase.FAILED), "it has ended"),
        (begun(reason="holds: the site is frozen"), "it is held: the site is frozen"),
    ],
)
def test_what_does_not_move_by_itself_has_no_date(status: RolloutStatus, reason: str) -> None:
    found = ask(status, evidence())
    assert (found.step.at, found.promotion.at) == (None, None)
    assert {found.step.reason, found.promotion.reason} == {reason}


def test_after_the_promotion_the_end_of_the_surveillance_is_told() -> None:
    watched = begun(PLAN, step=7, phase=RolloutPhase.SURVEILLING, promoted_at=NOON)
    found = ask(watched, evidence(), days=3)
    assert (found.step.at, found.promotion.at) == (NOON + 90 * DAY, NOON)


def test_a_silent_trial_promotes_nothing() -> None:
    trial = plan(PROVE, APPROVE, regulatory=replace(PLAN.regulatory, live_exposure_allowed=False))
    found = ask(begun(trial, step=1), evidence(), trial, approved=True)
    assert found.promotion.reason == "its plan promotes nothing: a person decides what comes of it"


def test_what_would_take_ten_years_has_no_date() -> None:
    found = ask(begun(step=4, weight_bp=500), evidence(), per_day=1e-6)
    assert found.step.at is None


def test_a_guardrail_of_the_background_without_data_holds_the_promotion() -> None:
    late = replace(SHORT, background=replace(SHORT.background, metrics=("late-truth",)))
    nothing = replace(evidence(), metrics={})
    found = ask(begun(late, step=3, weight_bp=10_000), nothing, late)
    assert found.step.at == NOON
    assert found.promotion.reason == "it waits for late-truth: late-truth has no data yet"
