"""How a rollout moves: one pure function of the plan, where it stands, what is true now, and the time.

Failure beats pause, pause beats progress. It is level-triggered: what was missed between two looks is not needed, and
a second look at the same present changes nothing. Time alone and silence alone never promote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from canary.rollout.actions import Action, actions_of
from canary.rollout.case import Case
from canary.rollout.conditions import conditions_of
from canary.rollout.ends import harmed, overdue, overtaken, rolling_back
from canary.rollout.exposure import granted
from canary.rollout.pauses import interrupted, noticed
from canary.rollout.plan import RolloutPlan
from canary.rollout.progress import promoting, surveilling, walked
from canary.rollout.seen import Approval, Seen
from canary.rollout.status import RolloutPhase, RolloutStatus, anchored

Rule = Callable[[Case], RolloutStatus | None]
THE_ROLLOUT: Final = "rollout"
MOST_MOVES: Final = 8  # of a look beyond its steps; rules that undid each other would else never end


@dataclass(frozen=True, slots=True)
class Event:
    """One change, for the audit: from where to where, when, by whom, and why in one sentence."""

    before: RolloutStatus
    after: RolloutStatus
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Transition:
    """Where the rollout stands now and what has to be done, in order. `events` are what changed, oldest first."""

    status: RolloutStatus
    actions: tuple[Action, ...]
    events: tuple[Event, ...] = ()
    approval: Approval | None = None

    @property
    def reason(self) -> str:
        return self.status.reason


def _stays(case: Case) -> RolloutStatus | None:
    """What has ended moves no more; only a person retries, which begins a new run."""
    return case.status if case.status.has_ended else None


def _paused(case: Case) -> RolloutStatus | None:
    """Only a person resumes a pause."""
    return case.status if case.status.phase is RolloutPhase.PAUSED else None


RULES: Final[tuple[Rule, ...]] = (
    _stays,
    rolling_back,
    harmed,
    overtaken,
    overdue,
    interrupted,
    _paused,
    promoting,
    surveilling,
    walked,
)
"""The first that says something decides: failure, then pause, then progress."""


def advance(plan: RolloutPlan, status: RolloutStatus, seen: Seen, now: datetime) -> Transition:
    """Move a rollout by one look: as many steps as are done by what is seen, each with its event.

    `plan` is the one with which it began; another one pauses it. Never promotes without positive evidence and all
    approvals; the weight of a rollout that failed is 0 until a person retries it.
    """
    case = noticed(Case(plan, anchored(status, now), seen, now))
    events: list[Event] = []
    moved = case.status
    for _ in range(len(plan.steps) + MOST_MOVES):
        moved = _moved(case)
        if not _has_moved(case.status, moved):
            break
        events.append(Event(case.status, moved, now, THE_ROLLOUT, moved.reason))
        case = replace(case, status=moved)
    return finished(noticed(replace(case, status=moved)), status, tuple(events))


def finished(case: Case, written: RolloutStatus, events: tuple[Event, ...]) -> Transition:
    """The transition to the case's status, with its conditions and what is left to do."""
    status = case.status
    if not written.has_ended or written.run != status.run:
        status = replace(status, conditions=conditions_of(case))
    return Transition(
        status,
        actions_of(status, case.world, case.plan.participants.layer_slot, is_new=status != written),
        events,
    )


def _moved(case: Case) -> RolloutStatus:
    """One move: the phase and step by the first rule that decides, then what that grants."""
    status = next(moved for rule in RULES if (moved := rule(case)) is not None)
    return granted(replace(case, status=status))


def _has_moved(before: RolloutStatus, after: RolloutStatus) -> bool:
    """Whether more than the wording is new. Phases and steps only go forwards, so moves come to an end."""
    return _place(before) != _place(after)


def _place(status: RolloutStatus) -> tuple[object, ...]:
    is_confirmed = status.confirmed_at is not None
    return (
        status.phase,
        status.step,
        status.pause,
        status.weight_bp,
        is_confirmed,
        status.promoted_at is None,
    )
