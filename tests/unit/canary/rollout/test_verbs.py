"""What people may say, in which phase, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.rollout.actions import GrantWeight, PointAlias, Record
from canary.rollout.advance import Transition
from canary.rollout.plan import DAY_S, ExposureBudget, Regulatory
from canary.rollout.seen import Seen
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.step import Pause
from canary.rollout.verbs import Refused, Verb, VerbKind, apply_verb
from tests.unit.canary.rollout.builders import (
    BOTH,
    DAY,
    GOOD,
    MIRROR,
    NOON,
    PROVE,
    begun,
    evidence,
    plan,
    seen,
    sensitivity,
    tick,
)

PLAN = plan()
PROMOTED = begun(PLAN, step=7, phase=RolloutPhase.SURVEILLING, promotion_began=True, promoted_at=NOON)
AFTER: dict[str, Any] = {
    "champion": "2",
    "answering": "2",
    "previous": "1",
    "former_champions": ("1", "0", "9"),
}


def say(
    kind: str,
    status: RolloutStatus,
    what: Seen | None = None,
    now: Any = NOON,
    declared: Any = PLAN,
    **details: Any,
) -> Transition | Refused:
    verb = Verb(kind=VerbKind(kind), actor=details.pop("actor", "ada"), **details)
    return apply_verb(declared, status, verb, what or seen(), now)


def done(outcome: Transition | Refused) -> Transition:
    assert isinstance(outcome, Transition), outcome
    return outcome


def refused(outcome: Transition | Refused) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def paused(cause: PauseCause = PauseCause.PERSON, **changes: Any) -> RolloutStatus:
    return begun(
        PLAN, **{"step": 5, "weight_bp": 500, "phase": RolloutPhase.PAUSED, "pause": cause} | changes
    )


PHASES = {
    "pause": {RolloutPhase.PROGRESSING, RolloutPhase.PROMOTING},
    "resume": {RolloutPhase.PAUSED},
    "approve": {RolloutPhase.PROGRESSING},
    "promote": {RolloutPhase.PROGRESSING},
    "abort": {RolloutPhase.PROGRESSING, RolloutPhase.PAUSED, RolloutPhase.PROMOTING},
    "retry": {RolloutPhase.FAILED},
    "undo": set(),
}


@pytest.mark.parametrize("kind", [kind for kind in PHASES if kind not in ("approve", "promote")])
@pytest.mark.parametrize("phase", RolloutPhase)
def test_a_verb_in_a_phase_that_it_is_not_for_is_refused_with_why(kind: str, phase: RolloutPhase) -> None:
    cause = PauseCause.PERSON if phase is RolloutPhase.PAUSED else None
    promoted_at = NOON if phase is RolloutPhase.SURVEILLING else None
    status = begun(PLAN, step=2, phase=phase, pause=cause, promoted_at=promoted_at)
    outcome = say(kind, status)
    assert isinstance(outcome, Transition) == (phase in PHASES[kind])
    if isinstance(outcome, Refused):
        assert len(outcome.reason.split()) > 4


def test_a_pause_keeps_the_weight_and_names_who_and_why() -> None:
    found = done(
        say("pause", begun(PLAN, step=5, weight_bp=500), seen(weight_bp=500), note="the scanner is down")
    )
    assert (found.status.pause, found.status.weight_bp) == (PauseCause.PERSON, 500)
    assert (found.reason, found.events[0].actor) == ("ada paused it: the scanner is down", "ada")


def test_a_resumed_rollout_does_not_pause_again_for_what_was_acknowledged_in_this_step() -> None:
    stuck = seen(evidence())
    status = begun(PLAN, step=1)
    late = NOON + 31 * DAY
    halted = tick(PLAN, status, stuck, late).status
    assert halted.pause is PauseCause.DEADLINE
    resumed = done(say("resume", halted, stuck, late)).status
    assert tick(PLAN, resumed, stuck, late + DAY).status.phase is RolloutPhase.PROGRESSING


def test_a_resumed_rollout_goes_back_to_its_own_weight_after_one_by_hand() -> None:
    by_hand = paused(PauseCause.BY_HAND, weight_bp=5_000, hand_seen=3)
    found = done(say("resume", by_hand, seen(weight_bp=5_000, hand_revision=3)))
    assert (found.status.weight_bp, found.actions[0]) == (500, GrantWeight("2", 500))
    again = tick(PLAN, found.status, seen(weight_bp=5_000, hand_revision=3))
    assert again.status.phase is RolloutPhase.PROGRESSING


def test_a_rollout_whose_plan_was_changed_is_not_resumed_by_it() -> None:
    other = plan(metrics=(sensitivity(margin=0.08), *PLAN.metrics[1:]))
    assert "steps or margins" in refused(say("resume", paused(PauseCause.PLAN_CHANGED), declared=other))


@pytest.mark.parametrize(
    ("step", "details", "given", "why"),
    [
        (1, {"role": "radiologist"}, (), "waits for no approval"),
        (2, {"role": "janitor"}, (), "asks for radiologist and quality"),
        (2, {"role": "radiologist"}, BOTH[:1], "has approved as radiologist already"),
        (2, {"role": "quality", "actor": "eve"}, BOTH, "is approved already"),
    ],
)
def test_an_approval_that_nobody_asked_for_is_refused(
    step: int, details: dict[str, Any], given: Any, why: str
) -> None:
    assert why in refused(say("approve", begun(PLAN, step=step), seen(approvals=given), **details))


def test_an_approval_is_a_value_beside_the_status_and_the_next_look_counts_it() -> None:
    found = done(say("approve", begun(PLAN, step=2), seen(approvals=BOTH[:1]), actor="bob", role="quality"))
    assert found.approval is not None
    assert (found.approval.actor, found.approval.run, found.approval.step) == ("bob", 1, 2)
    assert found.status.step == 2
    assert tick(PLAN, found.status, seen(approvals=(*BOTH[:1], found.approval))).status.step == 3


@pytest.mark.parametrize(
    ("step", "given", "why"),
    [
        (0, GOOD, "is no pause"),
        (1, GOOD, "is no pause"),
        (2, GOOD, "which nothing replaces"),
        (4, evidence(sensitivity=GOOD.metrics["sensitivity"].phase), "not positive yet"),
        (4, replace(GOOD, exposed_studies=200), "budget is spent"),
    ],
)
def test_promote_ends_no_step_that_waits_for_evidence_people_or_the_routers(
    step: int, given: Any, why: str
) -> None:
    status = begun(PLAN, step=step, weight_bp=500 if step > 3 else 0)
    assert why in refused(say("promote", status, seen(given, weight_bp=status.weight_bp)))


def test_promote_ends_a_pause_for_a_time_or_for_studies() -> None:
    for step in (4, 5):
        found = done(say("promote", begun(PLAN, step=step, weight_bp=500), seen(weight_bp=500)))
        assert found.status.step == step + 1


def test_promote_full_leaves_out_waiting_and_neither_evidence_nor_approvals() -> None:
    status = begun(PLAN, step=4, weight_bp=500)
    assert "earned" in refused(say("promote", status, seen(evidence(), approvals=BOTH), full=True))
    assert "earned" in refused(say("promote", status, seen(approvals=BOTH[:1]), full=True))
    found = done(say("promote", status, seen(approvals=BOTH, weight_bp=500), full=True))
    assert (found.status.step, found.status.weight_bp) == (7, 10_000)
    then = tick(PLAN, found.status, seen(approvals=BOTH, weight_bp=10_000))
    assert then.status.phase is RolloutPhase.PROMOTING


def test_a_silent_trial_is_promoted_by_nobody() -> None:
    silent = plan(MIRROR, PROVE, Pause(duration_s=DAY_S), regulatory=Regulatory())
    assert "no live exposure" in refused(say("promote", begun(silent, step=2), declared=silent, full=True))


def test_abort_takes_the_weight_first_and_undo_is_for_what_was_promoted() -> None:
    status = begun(PLAN, step=5, weight_bp=500)
    found = done(say("abort", status, seen(weight_bp=500), note="too slow"))
    assert found.actions == (GrantWeight("2", 0), Record())
    ended = tick(PLAN, found.status, seen()).status
    assert (ended.phase, ended.reason) == (RolloutPhase.FAILED, "ada aborted it: too slow")
    assert "undo" in refused(say("abort", PROMOTED, seen(**AFTER)))
    assert "not promoted" in refused(say("undo", status))


def test_undo_leads_to_one_of_the_last_champions_within_the_rollback_window() -> None:
    found = done(say("undo", PROMOTED, seen(**AFTER)))
    assert found.actions == (Record(), PointAlias("champion", "2", "1"))
    assert done(say("undo", PROMOTED, seen(**AFTER), to="0")).status.back_to == "0"
    assert "none of the last 2" in refused(say("undo", PROMOTED, seen(**AFTER), to="9"))
    late = NOON + timedelta(days=14)
    assert "window has ended" in refused(say("undo", PROMOTED, seen(**AFTER), late))
    open_again = replace(PROMOTED, phase=RolloutPhase.PAUSED, pause=PauseCause.REOPENED)
    assert done(say("undo", open_again, seen(**AFTER), late)).status.phase is RolloutPhase.ROLLING_BACK


def test_retry_is_a_new_run_from_the_first_step_whose_evidence_and_approvals_begin_anew() -> None:
    failed = begun(PLAN, step=5, phase=RolloutPhase.FAILED, ending="canary-failures failed")
    found = done(say("retry", failed, now=NOON + DAY)).status
    assert (found.run, found.step, found.weight_bp, found.began_at) == (2, 0, 0, NOON + DAY)
    stuck = tick(PLAN, found, seen(approvals=BOTH)).status
    assert stuck.step == 0  # the evidence is that of the first run
    anew = tick(PLAN, found, seen(replace(GOOD, run=2), approvals=BOTH)).status
    assert anew.step == 2  # and so are the approvals
    for world in ({"registry_answers": False}, {"challenger": "3"}, {"champion": "2"}):
        refused(say("retry", failed, seen(**world)))


@pytest.mark.parametrize(
    "wrong",
    [{"actor": " "}, {"role": "quality"}, {"full": True}, {"to": "1"}],
    ids=lambda one: next(iter(one)),
)
def test_a_verb_that_contradicts_itself_cannot_be_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"actor|goes with"):
        Verb(**{"kind": VerbKind.PAUSE, "actor": "ada"} | wrong)


def test_a_budget_that_is_spent_can_be_raised_while_a_rollout_runs() -> None:
    spent = seen(replace(GOOD, exposed_studies=200), weight_bp=500)
    held = tick(PLAN, begun(PLAN, step=5, weight_bp=500), spent).status
    richer = plan(budget=ExposureBudget(studies=400, adverse=5))
    assert (
        done(say("promote", held, seen(replace(GOOD, exposed_studies=200)), declared=richer)).status.step == 6
    )
