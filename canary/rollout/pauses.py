"""What stops a rollout until a person has looked: a weight set by hand, a bent split, no answer, the deadline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from canary.rollout.case import Case
from canary.rollout.ends import is_overdue, overdue_reason
from canary.rollout.exposure import forbidden_by_hand
from canary.rollout.gate_rules import awaits_start
from canary.rollout.plan_digest import plan_digest
from canary.rollout.status import PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.steps import judge_step
from canary.verdict import Verdict

_MAY_PAUSE = (RolloutPhase.PROGRESSING, RolloutPhase.PROMOTING)


def interrupted(case: Case) -> RolloutStatus | None:
    """The rollout, paused by the first cause that a person has not yet acknowledged in this step."""
    if case.status.is_promoted:
        return None
    by_hand = _by_hand(case)
    if by_hand is not None:
        return by_hand
    if case.status.phase not in _MAY_PAUSE:
        return None
    for cause, reason in _causes(case):
        if cause not in case.status.acknowledged or cause is PauseCause.PLAN_CHANGED:
            return replace(case.status, phase=RolloutPhase.PAUSED, pause=cause, reason=reason)
    return None


def noticed(case: Case) -> Case:
    """The case, whose status has taken note since when nothing is known of the evidence, and of a decision by hand
    that asks for the weight that it grants anyway.
    """
    status, world = case.status, case.world
    if status.has_ended:
        return case
    blind_since = None if case.evidence is not None else status.blind_since or case.now
    is_agreed = world.hand_revision is not None and world.weight_bp == status.weight_bp
    hand_seen = world.hand_revision if is_agreed else status.hand_seen
    if (blind_since, hand_seen) == (status.blind_since, status.hand_seen):
        return case  # most looks see nothing new, and a copy of a status is what they cost
    return replace(case, status=replace(status, blind_since=blind_since, hand_seen=hand_seen))


def _by_hand(case: Case) -> RolloutStatus | None:
    """A weight that somebody set is obeyed where the candidate may answer, and pauses the rollout."""
    world, status = case.world, case.status
    if world.hand_revision is None or world.hand_revision == status.hand_seen:
        return None
    refused = forbidden_by_hand(case)
    told = f"somebody set the weight to {world.weight_bp / 100:g} % by hand"
    return replace(
        status,
        phase=RolloutPhase.PAUSED,
        pause=PauseCause.BY_HAND,
        hand_seen=world.hand_revision,
        weight_bp=0 if refused else world.weight_bp,
        reason=f"{told}, and it is 0 again: {refused}" if refused and world.weight_bp else told,
    )


def _causes(case: Case) -> Iterator[tuple[PauseCause, str]]:
    if plan_digest(case.plan) != case.status.plan_digest:
        yield PauseCause.PLAN_CHANGED, "the steps or margins are not those with which the rollout began"
    if case.evidence is not None and case.evidence.sample_ratio is Verdict.FAILED:
        yield PauseCause.SAMPLE_RATIO, "the split is not the weight, so what was measured cannot be trusted"
    has_begun = not awaits_start(case.plan, case.status)
    if case.step is not None and case.status.phase is RolloutPhase.PROGRESSING and has_begun:
        verdict = judge_step(case, case.step)
        if verdict.is_inconclusive:
            yield PauseCause.INCONCLUSIVE, verdict.reason
    if is_overdue(case):
        yield PauseCause.DEADLINE, overdue_reason(case)
