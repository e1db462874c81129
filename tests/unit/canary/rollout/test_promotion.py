"""A promotion in its safe order, the way back, and aliases that moved on without the rollout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from canary.rollout.actions import AwaitDrain, GrantWeight, PointAlias, Record
from canary.rollout.plan import Regulatory
from canary.rollout.seen import RolloutEvidence
from canary.rollout.status import ConditionKind, PauseCause, RolloutPhase, RolloutStatus
from canary.verdict import Verdict
from tests.unit.canary.rollout.builders import (
    ANSWERED,
    BOTH,
    DAY,
    FAILED,
    GOOD,
    MIRROR,
    NOON,
    PLAN,
    PROVE,
    SUCCESSFUL,
    approvals,
    at,
    begun,
    condition,
    evidence,
    here,
    plan,
    seen,
    tick,
)

# ---- the promotion, and back


def test_a_promotion_goes_weight_alias_drain_and_takes_up_where_it_stopped() -> None:
    def then(status: RolloutStatus, **world: Any) -> tuple[RolloutStatus, tuple[object, ...]]:
        found = tick(PLAN, status, here(at(7), **world))
        return found.status, found.actions

    status, actions = then(at(7), weight_bp=500)
    assert (status.phase, actions) == (RolloutPhase.PROMOTING, (Record(), GrantWeight("2", 10_000)))
    status, actions = then(status)
    assert actions[-2:] == (PointAlias("champion-previous", None, "1"), PointAlias("champion", "1", "2"))
    status, actions = then(status, previous="1")
    assert actions[-1] == PointAlias("champion", "1", "2")
    status, actions = then(status, previous="1", champion="2", is_drained=False)
    assert (status.promoted_at, actions[-1]) == (NOON, AwaitDrain("1"))
    status, actions = then(status, previous="1", champion="2", answering="2")
    assert (status.phase, status.weight_bp) == (RolloutPhase.SURVEILLING, 0)


@pytest.mark.parametrize(
    ("given", "approved"),
    [
        (evidence(sensitivity=SUCCESSFUL), BOTH),
        (evidence(canary_failures=SUCCESSFUL), BOTH),
        (None, BOTH),
        (replace(GOOD, run=2), BOTH),
        (GOOD, BOTH[:1]),
        (GOOD, approvals("ada:radiologist", "ada:quality")),
        (GOOD, approvals("ada:radiologist", "bob:quality", run=2)),
        (GOOD, approvals("ada:radiologist", "bob:quality", step=1)),
    ],
)
def test_after_the_last_step_there_is_no_promotion_without_positive_evidence_and_the_approvals(
    given: RolloutEvidence | None, approved: tuple[Any, ...]
) -> None:
    found = tick(PLAN, at(7), here(at(7), given, approvals=approved), NOON + 29 * DAY)
    assert found.status.phase is RolloutPhase.PROGRESSING
    assert not any(isinstance(action, PointAlias) for action in found.actions)


def test_a_bent_split_that_somebody_resumed_still_promotes_nothing() -> None:
    status = at(7, acknowledged=(PauseCause.SAMPLE_RATIO,))
    found = tick(PLAN, status, here(status, replace(ANSWERED, sample_ratio=Verdict.FAILED)))
    assert (found.status.phase, "cannot be trusted" in found.reason) == (RolloutPhase.PROGRESSING, True)


def test_harm_during_the_promotion_takes_the_weight_then_the_status_then_the_alias_back() -> None:
    status = at(7, phase=RolloutPhase.PROMOTING, promotion_began=True)
    harm = evidence(canary_failures=FAILED)
    found = tick(PLAN, status, here(status, harm, champion="2"))
    assert found.actions == (GrantWeight("2", 0), Record(), PointAlias("champion", "2", "1"))
    away = tick(PLAN, found.status, seen(harm, champion="2", registry_answers=False))
    assert away.status.phase is RolloutPhase.ROLLING_BACK
    still = tick(PLAN, found.status, seen(harm, champion="1", answering="2"))
    assert still.status.phase is RolloutPhase.ROLLING_BACK
    assert tick(PLAN, found.status, seen(harm)).status.phase is RolloutPhase.FAILED


@pytest.mark.parametrize("phase", [RolloutPhase.PROMOTING, RolloutPhase.PAUSED])
def test_what_stops_a_promotion_comes_too_late_once_the_alias_has_moved(phase: RolloutPhase) -> None:
    """Found by the histories: the pause and the promotion undid each other in one look, without end."""
    cause = PauseCause.SAMPLE_RATIO if phase is RolloutPhase.PAUSED else None
    status = at(7, phase=phase, pause=cause, promotion_began=True)
    bent = replace(ANSWERED, sample_ratio=Verdict.FAILED)
    found = tick(PLAN, status, here(status, bent, champion="2", answering="2"))
    assert (found.status.phase, found.status.promoted_at) == (RolloutPhase.SURVEILLING, NOON)
    assert len(found.events) == 2


PROMOTED = begun(PLAN, step=7, phase=RolloutPhase.SURVEILLING, promotion_began=True, promoted_at=NOON)
AFTER = {"champion": "2", "answering": "2", "challenger": None, "previous": "1"}


def test_late_truth_goes_back_within_the_rollback_window_and_asks_a_person_after_it() -> None:
    late = evidence(late_truth=FAILED)
    soon = tick(PLAN, PROMOTED, seen(late, **AFTER), NOON + 13 * DAY)
    assert soon.actions == (Record(), PointAlias("champion", "2", "1"))
    later = tick(PLAN, PROMOTED, seen(late, **AFTER), NOON + 15 * DAY)
    assert (later.status.pause, later.actions) == (PauseCause.REOPENED, (Record(),))
    assert condition(later.status, ConditionKind.DEGRADED)


def test_a_surveillance_ends_by_its_time_and_another_challenger_does_not_end_it() -> None:
    another = seen(evidence(), **AFTER | {"challenger": "3"})
    assert tick(PLAN, PROMOTED, another, NOON + 89 * DAY).status.phase is RolloutPhase.SURVEILLING
    assert tick(PLAN, PROMOTED, another, NOON + 90 * DAY).status.phase is RolloutPhase.COMPLETED


def test_a_silent_trial_ends_without_a_promotion() -> None:
    silent = plan(MIRROR, PROVE, regulatory=Regulatory())
    found = tick(silent, begun(silent), seen())
    assert (found.status.phase, found.status.is_promoted) == (RolloutPhase.COMPLETED, False)
    assert found.actions == (Record(),)


# ---- aliases that moved on


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        ({"challenger": None}, "challenger was taken away"),
        ({"challenger": "3"}, "version 3 is challenger now"),
        ({"champion": "2"}, "somebody made version 2 champion"),
        ({"champion": "3"}, "version 3 became champion"),
    ],
)
@pytest.mark.parametrize("phase", [RolloutPhase.PROGRESSING, RolloutPhase.PAUSED])
def test_an_alias_that_was_moved_by_hand_supersedes_it(
    world: dict[str, Any], reason: str, phase: RolloutPhase
) -> None:
    paused = PauseCause.PERSON if phase is RolloutPhase.PAUSED else None
    status = at(4, phase=phase, pause=paused)
    found = tick(PLAN, status, here(status, **world))
    assert (found.status.phase, reason in found.reason) == (RolloutPhase.SUPERSEDED, True)
    assert found.actions == (GrantWeight("2", 0), Record())


def test_a_champion_that_somebody_puts_back_after_the_promotion_is_a_verdict() -> None:
    found = tick(PLAN, PROMOTED, seen(GOOD, challenger="2"))
    assert (found.status.phase, found.actions) == (RolloutPhase.FAILED, (Record(),))


@pytest.mark.parametrize("phase", [RolloutPhase.FAILED, RolloutPhase.SUPERSEDED, RolloutPhase.COMPLETED])
def test_what_has_ended_moves_no_more_and_a_weight_by_hand_is_taken_away(phase: RolloutPhase) -> None:
    status = begun(PLAN, step=4, phase=phase)
    found = tick(PLAN, status, here(status, weight_bp=500, hand_revision=3), NOON + 400 * DAY)
    assert (found.status, found.actions) == (status, (GrantWeight("2", 0),))


@pytest.mark.parametrize(
    ("champion", "phase"),
    [
        ("3", RolloutPhase.SUPERSEDED),
        ("10", RolloutPhase.SUPERSEDED),
        ("1", RolloutPhase.FAILED),
        ("0", RolloutPhase.FAILED),
    ],
)
def test_a_newer_champion_follows_what_was_promoted_and_an_older_one_is_a_verdict_on_it(
    champion: str, phase: RolloutPhase
) -> None:
    promoted = replace(
        at(7), phase=RolloutPhase.SURVEILLING, weight_bp=0, promotion_began=True, promoted_at=NOON
    )
    found = tick(PLAN, promoted, seen(GOOD, champion=champion, answering=champion))
    assert (found.status.phase, found.status.weight_bp) == (phase, 0)
    assert f"version {champion}" in found.status.reason
