"""One look at a rollout: every phase and step, what holds, what pauses, what ends it, and odd clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from canary.rollout.actions import GrantMirror, GrantWeight, Record
from canary.rollout.plan import DAY_S, Deadline, ExposureBudget, OnDeadline
from canary.rollout.seen import MetricSeen, RolloutEvidence
from canary.rollout.status import ConditionKind, PauseCause, RolloutPhase
from canary.rollout.step import Analysis, Experiment, Pause, SetMirror, Until
from canary.rollout.windows import Calendar, Freeze, Window
from canary.verdict import Verdict
from tests.unit.canary.rollout.builders import (
    ALL,
    ANSWERED,
    BOTH,
    CANARY,
    DAY,
    ERROR,
    FAILED,
    GOOD,
    INCONCLUSIVE,
    NOON,
    PLAN,
    PROVE,
    RUNNING,
    SUCCESSFUL,
    WAIT,
    at,
    begun,
    evidence,
    here,
    plan,
    seen,
    sensitivity,
    tick,
)

HOUR = timedelta(hours=1)


# ---- steps


@pytest.mark.parametrize(
    ("step", "given", "world", "after", "reason"),
    [
        (0, GOOD, {"shadow_ready": False}, 0, "waits until the shadow reads 100 %"),
        (1, evidence(), {}, 1, "waits for sensitivity"),
        (1, evidence(sensitivity=ERROR), {}, 1, "waits for sensitivity"),
        (1, replace(GOOD, metrics={}), {}, 1, "has no data yet"),
        (1, GOOD, {"approvals": ()}, 2, "waits for the approval of radiologist and quality"),
        (2, GOOD, {"approvals": BOTH[:1]}, 2, "waits for the approval of quality"),
        (2, GOOD, {}, 3, "waits until the canary answers 5 %"),
        (3, GOOD, {"weight_bp": 500, "data_plane": Verdict.INCONCLUSIVE}, 3, "until readings show"),
        (3, GOOD, {"weight_bp": 500}, 4, "waits for studies: 0 of 10"),
        (4, evidence(canary_failures=RUNNING, sensitivity=SUCCESSFUL), {}, 4, "waits for studies"),
        (4, replace(ANSWERED, metrics=evidence().metrics), {}, 4, "waits for canary-failures"),
        (4, ANSWERED, {}, 5, "pauses until 2026-06-02"),
        (5, ANSWERED, {}, 5, "pauses until 2026-06-02"),
    ],
)
def test_a_step_ends_by_what_it_waits_for(
    step: int, given: RolloutEvidence, world: dict[str, Any], after: int, reason: str
) -> None:
    status = at(step, weight_bp=500 if "weight_bp" in world else at(step).weight_bp)
    found = tick(PLAN, status, here(status, given, **world))
    assert (found.status.phase, found.status.step) == (RolloutPhase.PROGRESSING, after)
    assert reason in found.reason


def test_one_look_goes_through_all_steps_that_are_done_and_tells_each() -> None:
    found = tick(PLAN, begun(PLAN), here(begun(PLAN)))
    assert [event.after.step for event in found.events] == [1, 2, 3]
    assert found.events[-1].after.weight_bp == 500
    assert found.actions == (Record(), GrantWeight("2", 500))


def test_a_time_that_has_passed_ends_a_pause() -> None:
    found = tick(PLAN, at(5), here(at(5)), NOON + DAY)
    assert (found.status.step, found.status.weight_bp) == (6, 10_000)


def test_an_experiment_takes_its_time_from_when_its_weight_is_granted_and_then_gives_it_back() -> None:
    declared = plan(PROVE, Experiment(200, DAY_S, ("canary-failures",)), Pause(duration_s=60), CANARY, ALL)
    shut = replace(declared, calendar=Calendar(windows=(Window(frozenset({1}), time(8), time(16)),)))
    waiting = tick(shut, begun(shut, step=1), seen()).status
    assert (waiting.weight_bp, waiting.step) == (0, 1)
    opened = tick(shut, waiting, seen(), NOON + DAY).status
    assert (opened.weight_bp, opened.step_began_at) == (200, NOON + DAY)
    runs = tick(shut, opened, seen(weight_bp=200), NOON + DAY + HOUR)
    assert "experiment runs until 2026-06-03" in runs.reason
    done = tick(shut, runs.status, seen(weight_bp=200), NOON + 2 * DAY)
    assert (done.status.step, done.status.weight_bp) == (2, 0)
    assert done.actions == (GrantWeight("2", 0), Record())


def test_an_experiment_without_an_answer_by_its_end_is_inconclusive() -> None:
    declared = plan(PROVE, Experiment(200, DAY_S, ("canary-failures",)), ALL)
    status = begun(declared, step=1, weight_bp=200)
    found = tick(declared, status, seen(evidence(), weight_bp=200), NOON + DAY)
    assert (found.status.pause, found.status.weight_bp) == (PauseCause.INCONCLUSIVE, 200)


def test_a_mirror_is_granted_and_waited_for() -> None:
    declared = plan(SetMirror(2_000), Pause(duration_s=60))
    found = tick(declared, begun(declared), seen())
    assert (found.status.step, found.actions) == (0, (Record(), GrantMirror("2", 2_000)))
    assert tick(declared, found.status, seen(mirror_bp=2_000)).status.step == 1


def test_a_metric_that_may_lack_data_counts_once_it_has_some() -> None:
    rare = sensitivity(name="rare", must_have_data=False)
    declared = plan(Analysis(("sensitivity", "rare")), WAIT, metrics=(*PLAN.metrics, rare))
    silent = evidence(sensitivity=SUCCESSFUL)
    assert tick(declared, begun(declared), seen(silent)).status.step == 1
    seen_once = MetricSeen("rare", RUNNING, "it is Running", 1)
    running = replace(silent, metrics={**silent.metrics, "rare": seen_once})
    assert "waits for rare" in tick(declared, begun(declared), seen(running)).reason


# ---- failure beats pause beats progress


@pytest.mark.parametrize("step", range(8))
def test_harm_in_the_background_ends_it_at_any_step_with_weight_0_first(step: int) -> None:
    status = at(step)
    found = tick(PLAN, status, here(status, evidence(canary_failures=FAILED)))
    assert found.status.phase is (RolloutPhase.ROLLING_BACK if status.weight_bp else RolloutPhase.FAILED)
    assert found.status.weight_bp == 0
    assert found.actions == ((GrantWeight("2", 0), Record()) if status.weight_bp else (Record(),))
    assert "canary-failures failed" in found.reason


def test_harm_that_a_former_step_asked_for_still_ends_it_and_one_of_a_later_step_does_not() -> None:
    harmed = evidence(sensitivity=FAILED)
    assert tick(PLAN, at(4), here(at(4), harmed)).status.phase is RolloutPhase.ROLLING_BACK
    assert tick(PLAN, at(0, weight_bp=0), seen(harmed, shadow_ready=False)).status.step == 0


@pytest.mark.parametrize("metric", ["latency", "late_truth"])
def test_a_dry_run_and_the_surveillance_end_nothing_before_the_promotion(metric: str) -> None:
    found = tick(PLAN, at(2), seen(evidence(**{metric: FAILED})))
    assert found.status.phase is RolloutPhase.PROGRESSING


def test_failure_beats_a_pause_and_a_pause_beats_progress() -> None:
    paused = at(5, phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON)
    later = NOON + 3 * DAY
    assert tick(PLAN, paused, here(paused), later).status.step == 5
    assert tick(PLAN, paused, here(paused, evidence(canary_failures=FAILED)), later).status.weight_bp == 0


@pytest.mark.parametrize(
    ("step", "given", "world", "cause"),
    [
        (1, evidence(sensitivity=INCONCLUSIVE), {}, PauseCause.INCONCLUSIVE),
        (4, replace(ANSWERED, sample_ratio=Verdict.FAILED), {}, PauseCause.SAMPLE_RATIO),
        (4, ANSWERED, {"weight_bp": 2_500, "hand_revision": 7}, PauseCause.BY_HAND),
    ],
)
def test_what_a_person_has_to_look_at_pauses_it_until_he_resumes(
    step: int, given: RolloutEvidence, world: dict[str, Any], cause: PauseCause
) -> None:
    found = tick(PLAN, at(step), here(at(step), given, **world))
    assert (found.status.phase, found.status.pause) == (RolloutPhase.PAUSED, cause)
    assert found.status.weight_bp == world.get("weight_bp", at(step).weight_bp)
    assert tick(PLAN, found.status, here(found.status)).status == replace(
        found.status, conditions=tick(PLAN, found.status, here(found.status)).status.conditions
    )


def test_a_plan_with_another_margin_pauses_it() -> None:
    other = plan(metrics=(sensitivity(margin=0.08), *PLAN.metrics[1:]))
    assert tick(other, at(2), here(at(2))).status.pause is PauseCause.PLAN_CHANGED
    assert tick(plan(budget=ExposureBudget(9_999)), at(2), seen()).status.pause is None


@pytest.mark.parametrize(
    ("on", "phase"), [(OnDeadline.PAUSE, RolloutPhase.PAUSED), (OnDeadline.ABORT, RolloutPhase.ROLLING_BACK)]
)
def test_a_deadline_pauses_or_aborts_and_never_promotes(on: OnDeadline, phase: RolloutPhase) -> None:
    declared = plan(deadline=Deadline(30 * DAY_S, on))
    silent = here(at(4), replace(GOOD, studies_by_step={}))
    assert tick(declared, at(4), silent, NOON + 29 * DAY).status.phase is RolloutPhase.PROGRESSING
    assert tick(declared, at(4), silent, NOON + 30 * DAY).status.phase is phase


def test_an_analysis_beyond_its_time_is_inconclusive() -> None:
    declared = plan(Analysis(("sensitivity",), max_duration_s=DAY_S), WAIT)
    found = tick(declared, begun(declared), seen(evidence()), NOON + DAY)
    assert (found.status.pause, "undecided after 1 days" in found.reason) == (PauseCause.INCONCLUSIVE, True)


# ---- holds end by themselves


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({"is_frozen": True}, "the site is frozen"),
        ({"registry_answers": False}, "MLflow does not answer"),
        ({"champion": None}, "the alias champion is missing"),
        ({"data_plane": Verdict.FAILED}, "the routers do not do"),
        ({"may_answer": False, "gate_reason": "it was withdrawn"}, "it was withdrawn"),
    ],
)
def test_what_holds_a_rollout_keeps_its_step_until_it_is_over(world: dict[str, Any], reason: str) -> None:
    found = tick(PLAN, at(4), here(at(4), **world))
    assert (found.status.phase, found.status.step, reason in found.reason) == (
        RolloutPhase.PROGRESSING,
        4,
        True,
    )
    assert tick(PLAN, found.status, here(found.status)).status.step >= 4 + (found.status.weight_bp > 0)


def test_a_withdrawn_version_has_no_weight_at_once() -> None:
    found = tick(PLAN, at(5), here(at(5), may_answer=False, gate_reason="it was withdrawn"))
    assert (found.status.weight_bp, found.actions[0]) == (0, GrantWeight("2", 0))


@pytest.mark.parametrize(
    "spent",
    [replace(ANSWERED, exposed_studies=200), replace(ANSWERED, adverse_events=5)],
    ids=["studies", "adverse"],
)
def test_a_spent_budget_takes_the_weight_away_until_there_is_more(spent: RolloutEvidence) -> None:
    found = tick(PLAN, at(5), here(at(5), spent), NOON + 2 * DAY)
    assert (found.status.step, found.status.weight_bp, "budget is spent" in found.reason) == (5, 0, True)
    richer = plan(budget=ExposureBudget(studies=300, adverse=9))
    assert tick(richer, found.status, here(found.status, spent), NOON + HOUR).status.weight_bp == 500


def test_at_100_percent_the_budget_of_studies_has_done_its_work_and_that_of_adverse_events_has_not() -> None:
    many = replace(ANSWERED, exposed_studies=10_000)
    assert tick(PLAN, at(6), here(at(6), many)).status.weight_bp == 10_000
    assert tick(PLAN, at(6), here(at(6), replace(many, adverse_events=5))).status.weight_bp == 0


def test_a_canary_that_nobody_can_watch_answers_nobody_after_a_quarter_of_an_hour() -> None:
    blind = tick(PLAN, at(5), here(at(5), None))
    assert (blind.status.weight_bp, blind.status.blind_since) == (500, NOON)
    gone = tick(PLAN, blind.status, here(blind.status, None), NOON + timedelta(minutes=15))
    assert gone.status.weight_bp == 0
    back = tick(PLAN, gone.status, here(gone.status), NOON + timedelta(minutes=16))
    assert (back.status.weight_bp, back.status.blind_since) == (500, None)


def test_evidence_of_another_run_is_none() -> None:
    found = tick(PLAN, at(1), here(at(1), replace(GOOD, run=2)))
    assert (found.status.step, "nothing is known of the evidence" in found.reason) == (1, True)


MONDAYS = Calendar("Europe/Paris", (Window(frozenset({0}), time(8), time(16)),))
MONDAY_EVENING = datetime(2026, 6, 1, 14, 30, tzinfo=UTC)  # 16:30 in Paris


def test_outside_of_the_windows_no_weight_is_raised_and_everything_else_goes_on() -> None:
    declared = plan(calendar=MONDAYS)
    shut = tick(declared, at(2), here(at(2)), MONDAY_EVENING)
    assert (shut.status.step, shut.status.weight_bp) == (3, 0)
    assert "outside of the allowed windows, next Mon 2026-06-08 08:00 Europe/Paris" in shut.reason
    opened = tick(declared, shut.status, here(shut.status), datetime(2026, 6, 8, 6, tzinfo=UTC))
    assert opened.status.weight_bp == 500
    failed = tick(declared, at(4), here(at(4), evidence(canary_failures=FAILED)), MONDAY_EVENING)
    assert failed.status.weight_bp == 0


def test_a_freeze_holds_the_promotion_itself() -> None:
    frozen = plan(calendar=Calendar(freezes=(Freeze(NOON.date(), NOON.date(), "go-live"),)))
    found = tick(frozen, at(7), here(at(7)))
    assert found.status.phase is RolloutPhase.PROGRESSING
    assert "frozen until 2026-06-01 (go-live)" in found.reason
    assert tick(frozen, found.status, here(at(7)), NOON + DAY).status.phase is RolloutPhase.PROMOTING


# ---- clocks and looks


def test_a_second_look_changes_nothing_and_asks_for_the_same() -> None:
    first = tick(PLAN, at(2), here(at(2)))
    again = tick(PLAN, first.status, here(at(2)))
    assert (again.status, again.events) == (first.status, ())
    assert again.actions == first.actions[1:]


def test_a_clock_that_went_back_makes_a_step_wait_for_its_time_again_and_no_longer() -> None:
    ahead = at(5, step_began_at=NOON + 300 * DAY, progressed_at=NOON + 300 * DAY)
    back = tick(PLAN, ahead, here(ahead)).status
    assert (back.step, back.step_began_at, back.progressed_at) == (5, NOON, NOON)
    assert tick(PLAN, back, here(back), NOON + DAY).status.step == 6


def test_a_clock_that_leaps_forward_promotes_nobody() -> None:
    waiting = here(at(4), replace(GOOD, studies_by_step={}), approvals=())
    found = tick(PLAN, at(4), waiting, NOON + 4_000 * DAY)
    assert (found.status.phase, found.status.pause) == (RolloutPhase.PAUSED, PauseCause.DEADLINE)


def test_lost_looks_are_made_up_for_by_the_next_one() -> None:
    found = tick(PLAN, at(2), here(at(2), weight_bp=500), NOON + 9 * DAY)
    assert found.status.step == 5


# ---- conditions


def test_all_ten_conditions_are_told_with_why_they_do_not_hold() -> None:
    status = tick(PLAN, at(2), seen(evidence(), shadow_ready=False)).status
    assert [one.kind for one in status.conditions] == list(ConditionKind)
    told = {one.kind: one for one in status.conditions}
    assert told[ConditionKind.PROGRESSING].holds
    assert not told[ConditionKind.SHADOW_READY].holds
    assert "sensitivity" in told[ConditionKind.EVIDENCE_SUFFICIENT].reason
    assert "radiologist" in told[ConditionKind.APPROVAL_GRANTED].reason


def test_a_pause_until_studies_alone_counts_those_of_its_own_step() -> None:
    declared = plan(PROVE, CANARY, Pause(until=Until(min_studies=10)), ALL)
    status = begun(declared, step=2, weight_bp=500)
    before = replace(GOOD, studies_by_step={1: 50, 2: 9})
    assert tick(declared, status, seen(before, weight_bp=500)).status.step == 2
    enough = replace(GOOD, studies_by_step={2: 10})
    assert tick(declared, status, seen(enough, weight_bp=500)).status.step == 3
