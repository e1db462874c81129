"""What people may tell a rollout, and in which phase. A verb that may not be is refused, with why.

| verb | in which phase | what it does |
|---|---|---|
| pause | Progressing, Promoting until the alias has moved | keeps the weight, and waits for `resume` |
| resume | Paused | goes on; the cause of the pause is acknowledged for this step |
| approve | Progressing, in a step that waits for approvals | counts one person in one role |
| promote | Progressing, in a pause for a time or for studies | ends the pause; its evidence must be positive |
| promote, full | Progressing, when evidence and approvals are complete | leaves out the steps that are left |
| abort | Progressing, Paused, Promoting until the alias has moved | weight 0, then Failed |
| retry | Failed | a new run, from its first step |
| undo | after the promotion, within the rollback window or once the verdict is open again | the former champion |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from canary.rollout.advance import Event, Transition, finished
from canary.rollout.approvals import missing
from canary.rollout.case import Case
from canary.rollout.ends import sent_back, within_rollback_window
from canary.rollout.exposure import granted, held
from canary.rollout.gate import GateKind
from canary.rollout.gate_rules import awaits_start, closed
from canary.rollout.nominate import begin
from canary.rollout.plan import RolloutPlan
from canary.rollout.plan_digest import plan_digest
from canary.rollout.proof import not_proven
from canary.rollout.seen import Approval, Seen
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus, anchored
from canary.rollout.step import Pause, metrics_of
from canary.rollout.steps import evidence_for


class VerbKind(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What a person said. `role` goes with approve, `full` with promote, `to` with undo; `note` is why."""

    kind: VerbKind
    actor: str
    role: str = ""
    full: bool = False
    to: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not self.actor.strip():
            raise ValueError("a verb has an actor")
        if (self.kind is VerbKind.APPROVE) != bool(self.role.strip()):
            raise ValueError("a role goes with approve, and only there")
        if (self.full and self.kind is not VerbKind.PROMOTE) or (self.to and self.kind is not VerbKind.UNDO):
            raise ValueError("full goes with promote, and to with undo")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the verb may not be, in a sentence."""

    reason: str


Outcome = RolloutStatus | Approval | Refused


def apply_verb(
    plan: RolloutPlan, status: RolloutStatus, verb: Verb, seen: Seen, now: datetime
) -> Transition | Refused:
    """What comes of a verb. The next `advance` goes on from there, and still goes back when something fails."""
    case = Case(plan, anchored(status, now), seen, now)
    outcome = _VERBS[verb.kind](case, verb)
    if isinstance(outcome, Refused):
        return outcome
    if isinstance(outcome, Approval):
        return _approved(case, status, verb, outcome)
    after = replace(case, status=outcome)
    if outcome.phase is not RolloutPhase.PAUSED:
        after = replace(after, status=granted(after))
    event = Event(status, after.status, now, verb.actor, after.status.reason)
    return finished(after, status, (event,))


def _approved(case: Case, written: RolloutStatus, verb: Verb, approval: Approval) -> Transition:
    """An approval changes no status: it is kept beside it, and the next look counts it."""
    event = Event(written, written, case.now, verb.actor, f"{verb.actor} approved as {approval.role}")
    seen = replace(case.seen, approvals=(*case.seen.approvals, approval))
    transition = finished(replace(case, seen=seen), written, (event,))
    return replace(transition, approval=approval)


def _pause(case: Case, verb: Verb) -> Outcome:
    status = case.status
    moving = status.phase is RolloutPhase.PROMOTING and not status.is_promoted
    if status.phase is not RolloutPhase.PROGRESSING and not moving:
        return _wrong_phase(status, "pause")
    reason = _told(verb, "paused it")
    return replace(status, phase=RolloutPhase.PAUSED, pause=PauseCause.PERSON, reason=reason)


def _resume(case: Case, verb: Verb) -> Outcome:
    status = case.status
    if status.phase is not RolloutPhase.PAUSED or status.pause is None:
        return _wrong_phase(status, "resume")
    if plan_digest(case.plan) != status.plan_digest:
        return Refused(
            "the steps or margins are not those with which it began: put them back, or abort and retry"
        )
    phase = RolloutPhase.SURVEILLING if status.is_promoted else RolloutPhase.PROGRESSING
    return replace(
        status,
        phase=phase,
        pause=None,
        acknowledged=tuple(dict.fromkeys((*status.acknowledged, status.pause))),
        progressed_at=case.now,
        reason=_told(verb, "resumed it"),
    )


def _approve(case: Case, verb: Verb) -> Outcome:
    status, step = case.status, case.step
    if status.phase is not RolloutPhase.PROGRESSING:
        return _wrong_phase(status, "approve")
    if awaits_start(case.plan, status):
        return _not_begun(case)
    if not isinstance(step, Pause) or step.approval is None:
        return Refused(f"step {status.step} waits for no approval")
    if step.approval.roles and verb.role not in step.approval.roles:
        return Refused(
            f"step {status.step} asks for {' and '.join(step.approval.roles)}, not for {verb.role}"
        )
    given = case.approvals_of(status.step)
    if any((one.actor, one.role) == (verb.actor, verb.role) for one in given):
        return Refused(f"{verb.actor} has approved as {verb.role} already")
    if missing(step.approval, given) is None:
        return Refused(f"step {status.step} is approved already")
    return Approval(status.run, status.step, verb.role, verb.actor, case.now)


def _promote(case: Case, verb: Verb) -> Outcome:
    status, step = case.status, case.step
    if status.phase is not RolloutPhase.PROGRESSING:
        return _wrong_phase(status, "promote")
    if awaits_start(case.plan, status):
        return _not_begun(case)
    if verb.full:
        return _promote_full(case, verb)
    if not isinstance(step, Pause):
        return Refused(f"step {status.step} is no pause: it ends by what it waits for")
    if step.approval is not None:
        return Refused(f"step {status.step} waits for approvals, which nothing replaces")
    if (hold := held(case)) is not None:
        return Refused(f"it holds: {hold}")
    if metrics_of(step) and not (asked := evidence_for(case, metrics_of(step))).is_done:
        return Refused(f"its evidence is not positive yet: {asked.reason}")
    return _moved_to(case, status.step + 1, _told(verb, f"ended the pause of step {status.step}"))


def _promote_full(case: Case, verb: Verb) -> Outcome:
    if not case.plan.promotes:
        return Refused("its plan allows no live exposure, so it promotes nothing")
    if (lacking := not_proven(case)) is not None:
        return Refused(f"a promotion is not earned yet: {lacking}")
    return _moved_to(case, len(case.plan.steps), _told(verb, "left out the steps that were left"))


def _moved_to(case: Case, step: int, reason: str) -> RolloutStatus:
    now = case.now
    return replace(
        case.status, step=step, step_began_at=now, progressed_at=now, acknowledged=(), reason=reason
    )


def _abort(case: Case, verb: Verb) -> Outcome:
    status = case.status
    if status.is_promoted:
        return Refused("it is promoted: undo leads back to the former champion")
    if status.has_ended or status.phase is RolloutPhase.ROLLING_BACK:
        return _wrong_phase(status, "abort")
    return sent_back(status, _told(verb, "aborted it"))


def _retry(case: Case, verb: Verb) -> Outcome:
    status, world = case.status, case.world
    if status.phase is not RolloutPhase.FAILED:
        return _wrong_phase(status, "retry")
    if not world.registry_answers:
        return Refused("MLflow does not answer, so nobody knows whether the aliases still stand")
    if world.challenger != status.candidate:
        return Refused(f"version {status.candidate} is not the challenger")
    if world.champion is None or world.champion == status.candidate:
        return Refused("there is no other champion to compare it with")
    return begin(
        case.plan,
        status.candidate,
        world.champion,
        run=status.run + 1,
        now=case.now,
        why=_told(verb, "retries it"),
    )


def _undo(case: Case, verb: Verb) -> Outcome:
    status, world = case.status, case.world
    if status.phase in (RolloutPhase.FAILED, RolloutPhase.ROLLING_BACK):
        return _wrong_phase(status, "undo")
    if not status.is_promoted:
        return Refused("it is not promoted, so there is nothing to go back from")
    if not world.registry_answers or world.champion != status.candidate:
        return Refused(f"version {status.candidate} is not the champion, or MLflow does not answer")
    if not within_rollback_window(case) and status.pause is not PauseCause.REOPENED:
        return Refused("its rollback window has ended: the former version needs a rollout of its own")
    to = verb.to or status.stable
    near = world.former_champions[: case.plan.rollback_window.revisions]
    if to == status.candidate or to not in (status.stable, *near):
        return Refused(f"version {to} is none of the last {case.plan.rollback_window.revisions} champions")
    return sent_back(status, _told(verb, f"went back to version {to}"), to)


def _not_begun(case: Case) -> Refused:
    return Refused(
        f"its first step has not begun: {closed(case, GateKind.CONFIRM_ROLLOUT) or 'it begins now'}"
    )


def _wrong_phase(status: RolloutStatus, verb: str) -> Refused:
    return Refused(f"{verb} is not for a rollout that is {status.phase}: {status.reason}")


def _told(verb: Verb, what: str) -> str:
    return f"{verb.actor} {what}{f': {verb.note}' if verb.note else ''}"


_VERBS: Final[Mapping[VerbKind, Callable[[Case, Verb], Outcome]]] = MappingProxyType(
    {
        VerbKind.PAUSE: _pause,
        VerbKind.RESUME: _resume,
        VerbKind.APPROVE: _approve,
        VerbKind.PROMOTE: _promote,
        VerbKind.ABORT: _abort,
        VerbKind.RETRY: _retry,
        VerbKind.UNDO: _undo,
    }
)
