"""Gates: only a fresh yes opens one, each asked while it matters, and what a change of a rollout is called."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from canary.rollout.actions import GrantWeight
from canary.rollout.advance import Transition
from canary.rollout.gate import GateAnswer, GateKind, Gates
from canary.rollout.gate_rules import FRESH_S, questions_of
from canary.rollout.notice import NoticeKind, Notification, kind_of
from canary.rollout.plan import Regulatory, RolloutPlan
from canary.rollout.plan_digest import plan_digest, refused_changes
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.step import Analysis
from canary.rollout.verbs import Refused, Verb, VerbKind, apply_verb
from tests.unit.canary.rollout.builders import (
    ALL,
    ANSWERED,
    BOTH,
    CANARY,
    DAY,
    MIRROR,
    NOON,
    PLAN,
    PROVE,
    STUDIES,
    at,
    begun,
    here,
    plan,
    seen,
    tick,
)

BEGIN, PROMOTE, BACK = GateKind.CONFIRM_ROLLOUT, GateKind.CONFIRM_PROMOTION, GateKind.ROLLBACK
URL = "https://qa.example/gate"
BEGINS = plan(gates=Gates(confirm_rollout=URL))
PROMOTES = plan(gates=Gates(confirm_promotion=URL))
GOES_BACK = plan(gates=Gates(rollback=URL))


def answer(kind: GateKind, says: bool | None = True, run: int = 1, when: datetime = NOON) -> GateAnswer:
    return GateAnswer(kind, run, says, "quality management says so", when)


def look(declared: RolloutPlan, status: RolloutStatus, *answers: GateAnswer, **world: Any) -> Transition:
    status = replace(status, plan_digest=plan_digest(declared))
    return tick(declared, status, replace(here(status, **world), gates=answers))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((), "has not answered yet"),
        ((answer(BEGIN, False),), "waits for the gate confirmRollout: quality management says so"),
        ((answer(BEGIN, None),), "waits for the gate confirmRollout: quality management says so"),
        ((answer(BEGIN, run=2),), "has not answered yet"),
        ((answer(PROMOTE),), "has not answered yet"),
        ((answer(BEGIN, when=NOON - timedelta(seconds=FRESH_S + 1)),), "older than 60 s"),
        ((answer(BEGIN, when=NOON + timedelta(seconds=1)),), "older than 60 s"),
        ((answer(BEGIN, when=NOON - timedelta(seconds=5)), answer(BEGIN, False)), "quality management"),
    ],
)
def test_the_first_step_waits_for_a_fresh_yes(answers: tuple[GateAnswer, ...], reason: str) -> None:
    found = look(BEGINS, begun(BEGINS), *answers)
    assert (found.status.step, found.status.weight_bp, found.events) == (0, 0, ())
    assert reason in found.reason
    assert "\n" not in found.reason


def test_a_yes_begins_the_first_step_with_its_time_and_is_asked_for_no_more() -> None:
    waited = begun(
        BEGINS, began_at=NOON - 9 * DAY, step_began_at=NOON - 9 * DAY, progressed_at=NOON - 9 * DAY
    )
    found = look(BEGINS, waited, answer(BEGIN), shadow_ready=False)
    assert (found.status.step, found.status.confirmed_at, found.status.step_began_at) == (0, NOON, NOON)
    (event,) = found.events
    assert event.reason == "the gate confirmRollout let it begin: quality management says so"
    assert kind_of(event.before, event.after) is NoticeKind.CONFIRMED
    later = look(BEGINS, found.status)
    assert later.status.step > 0, "without another answer"


def test_no_weight_is_given_before_the_first_step_begins() -> None:
    declared = plan(CANARY, STUDIES, PROVE, ALL, gates=Gates(confirm_rollout=URL))
    waiting = look(declared, begun(declared))
    assert (waiting.status.weight_bp, waiting.actions) == (0, waiting.actions[:1])
    began = look(declared, begun(declared), answer(BEGIN))
    assert GrantWeight("2", 500) in began.actions


def test_a_step_that_has_not_begun_is_not_overdue() -> None:
    declared = plan(Analysis(("sensitivity",), 60), ALL, gates=Gates(confirm_rollout=URL))
    status = begun(declared, step_began_at=NOON - DAY, began_at=NOON - DAY)
    assert look(declared, status).status.phase is RolloutPhase.PROGRESSING


@pytest.mark.parametrize(
    "verb",
    [
        Verb(kind=VerbKind.PROMOTE, actor="ada"),
        Verb(kind=VerbKind.PROMOTE, actor="ada", full=True),
        Verb(kind=VerbKind.APPROVE, actor="ada", role="radiologist"),
    ],
)
def test_nobody_goes_past_the_gate_by_a_verb(verb: Verb) -> None:
    found = apply_verb(BEGINS, begun(BEGINS), verb, seen(ANSWERED, approvals=BOTH), NOON)
    assert isinstance(found, Refused)
    assert "its first step has not begun" in found.reason


@pytest.mark.parametrize(
    "answers",
    [(), (answer(PROMOTE, False),), (answer(PROMOTE, None),), (answer(PROMOTE, run=2),), (answer(BEGIN),)],
)
def test_all_is_proven_and_without_a_yes_nothing_is_promoted(answers: tuple[GateAnswer, ...]) -> None:
    found = look(PROMOTES, at(7), *answers)
    assert (found.status.phase, found.status.promotion_began) == (RolloutPhase.PROGRESSING, False)
    assert "waits for the gate confirmPromotion" in found.reason


def test_a_yes_promotes_what_is_proven_and_nothing_else() -> None:
    assert look(PROMOTES, at(7), answer(PROMOTE)).status.phase is RolloutPhase.PROMOTING
    assert look(PROMOTES, at(7), answer(PROMOTE), approvals=()).status.phase is RolloutPhase.PROGRESSING
    assert look(PLAN, at(7)).status.phase is RolloutPhase.PROMOTING, "where nobody is asked"


@pytest.mark.parametrize("phase", [RolloutPhase.PROGRESSING, RolloutPhase.PAUSED])
def test_a_yes_of_the_gate_rollback_leads_back_at_once(phase: RolloutPhase) -> None:
    paused = PauseCause.PERSON if phase is RolloutPhase.PAUSED else None
    found = look(GOES_BACK, at(4, phase=phase, pause=paused), answer(BACK))
    assert (found.status.phase, found.status.weight_bp) == (RolloutPhase.ROLLING_BACK, 0)
    assert found.status.ending == "the gate rollback asked for it: quality management says so"


@pytest.mark.parametrize("given", [answer(BACK, False), answer(BACK, None), answer(BACK, when=NOON - DAY)])
def test_silence_of_the_gate_rollback_stops_nothing(given: GateAnswer) -> None:
    assert look(GOES_BACK, at(4), given).status.step == 5


def test_an_answer_for_a_gate_that_was_not_declared_does_nothing() -> None:
    assert look(PLAN, at(4), answer(BACK)).status.step == 5


def test_after_its_rollback_window_the_gate_asks_a_person() -> None:
    promoted = begun(
        GOES_BACK, step=7, phase=RolloutPhase.SURVEILLING, promotion_began=True, promoted_at=NOON - 30 * DAY
    )
    world = {"champion": "2", "answering": "2", "challenger": None}
    found = look(GOES_BACK, promoted, answer(BACK), **world)
    assert found.status.pause is PauseCause.REOPENED
    within = look(GOES_BACK, replace(promoted, promoted_at=NOON), answer(BACK), **world)
    assert within.status.phase is RolloutPhase.ROLLING_BACK


# ---- who is asked when

ALL_GATES = plan(gates=Gates(URL, URL, URL))


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (begun(), [BACK, BEGIN]),
        (begun(confirmed_at=NOON), [BACK]),
        (at(7, confirmed_at=NOON), [BACK, PROMOTE]),
        (begun(phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON), [BACK]),
        (begun(phase=RolloutPhase.ROLLING_BACK), []),
        (begun(phase=RolloutPhase.FAILED), []),
    ],
)
def test_a_gate_is_asked_while_it_matters(status: RolloutStatus, asked: list[GateKind]) -> None:
    assert [one.kind for one in questions_of(ALL_GATES, status)] == asked
    assert questions_of(PLAN, status) == ()


# ---- what a plan may say of them


def test_gates_are_fixed_after_the_start_and_notifications_are_not() -> None:
    told = plan(notifications=(Notification(URL),))
    assert (refused_changes(PLAN, told), plan_digest(told)) == ((), plan_digest(PLAN))
    assert refused_changes(PLAN, BEGINS) == ("gates does not change after the start",)
    assert len({plan_digest(one) for one in (PLAN, BEGINS, PROMOTES, GOES_BACK)}) == 4


def test_a_plan_without_gates_has_the_digest_that_it_had_before_there_were_any() -> None:
    """A rollout that is under way when Serinus is updated is not paused for another plan."""
    assert plan_digest(PLAN) == "34375c9290121a93b5380d537776b47d2b871e8a5d3d594d3a870687ea821713"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"notifications": (Notification(URL), Notification(URL, (NoticeKind.STEP,)))}, "stands there once"),
        ({"steps": (MIRROR, PROVE), "gates": Gates(confirm_promotion=URL), "surveillance": None}, "promotes"),
    ],
)
def test_a_plan_that_contradicts_itself_cannot_be(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replace(plan(regulatory=Regulatory(True, "CR-1")), **wrong)


@pytest.mark.parametrize("url", ["", "qa.example", "ftp://qa", "https://", "https://u:p@qa", "https://qa/ x"])
def test_what_is_no_address_of_a_web_server_cannot_be_called(url: str) -> None:
    for build in (lambda: Gates(rollback=url), lambda: Notification(url)):
        with pytest.raises(ValueError, match="address"):
            build()


def test_an_address_is_in_no_representation() -> None:
    """It may hold a token, and a representation ends in a log."""
    assert "qa.example" not in repr(plan(gates=Gates(URL, URL, URL), notifications=(Notification(URL),)))


# ---- what a change is called


PROMOTING = begun(step=7, phase=RolloutPhase.PROMOTING, promotion_began=True)
PAUSED = begun(phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON)
WATCHED = replace(PROMOTING, phase=RolloutPhase.SURVEILLING, promoted_at=NOON)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (None, begun(), NoticeKind.STARTED),
        (begun(phase=RolloutPhase.FAILED), begun(run=2), NoticeKind.STARTED),
        (begun(), begun(step=1), NoticeKind.STEP),
        (begun(step=3), begun(step=3, weight_bp=500), NoticeKind.WEIGHT),
        (begun(step=2), begun(step=2), NoticeKind.APPROVED),
        (begun(), PAUSED, NoticeKind.PAUSED),
        (PAUSED, replace(PAUSED, pause=PauseCause.BY_HAND), NoticeKind.PAUSED),
        (PAUSED, begun(), NoticeKind.RESUMED),
        (at(7), PROMOTING, NoticeKind.PROMOTING),
        (PROMOTING, replace(PROMOTING, promoted_at=NOON), NoticeKind.PROMOTED),
        (replace(PROMOTING, promoted_at=NOON), WATCHED, NoticeKind.SURVEILLING),
        (replace(WATCHED, phase=RolloutPhase.PAUSED, pause=PauseCause.REOPENED), WATCHED, NoticeKind.RESUMED),
        (PROMOTING, replace(WATCHED, phase=RolloutPhase.COMPLETED), NoticeKind.COMPLETED),
        (begun(), begun(phase=RolloutPhase.ROLLING_BACK), NoticeKind.ROLLING_BACK),
        (begun(phase=RolloutPhase.ROLLING_BACK), begun(phase=RolloutPhase.FAILED), NoticeKind.FAILED),
        (begun(), begun(phase=RolloutPhase.SUPERSEDED), NoticeKind.SUPERSEDED),
    ],
)
def test_a_change_is_called_by_the_most_that_it_changes(
    before: RolloutStatus | None, after: RolloutStatus, kind: NoticeKind
) -> None:
    assert kind_of(before, after) is kind


def test_a_notification_wants_all_events_or_those_that_it_names() -> None:
    assert Notification(URL).wants(NoticeKind.STEP)
    some = Notification(URL, (NoticeKind.FAILED,))
    assert (some.wants(NoticeKind.FAILED), some.wants(NoticeKind.STEP)) == (True, False)
