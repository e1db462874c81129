"""How a rollout goes on: step by step, then the promotion, then the surveillance."""

from __future__ import annotations

from dataclasses import replace

from canary.rollout.actions import is_settled
from canary.rollout.case import Case
from canary.rollout.exposure import asked_bp, held, raise_held
from canary.rollout.gate import GateKind
from canary.rollout.gate_rules import awaits_start, closed
from canary.rollout.proof import not_proven
from canary.rollout.status import HOLDS, RolloutPhase, RolloutStatus
from canary.rollout.steps import judge_step
from canary.routing_table import BASIS_POINTS


def walked(case: Case) -> RolloutStatus:
    """The next step if this one is done and nothing holds; after the last one, the promotion that was earned."""
    status = case.status
    hold = raise_held(case) if asked_bp(case) > status.weight_bp else held(case)
    if hold is not None:
        return replace(status, reason=f"{HOLDS}{hold}")
    if awaits_start(case.plan, status):
        return _begun(case)
    if case.step is None:
        return _at_the_end(case)
    verdict = judge_step(case, case.step)
    if not verdict.is_done:
        return replace(status, reason=verdict.reason)
    return replace(
        status,
        step=status.step + 1,
        step_began_at=case.now,
        progressed_at=case.now,
        acknowledged=(),
        reason=verdict.reason,
    )


def _begun(case: Case) -> RolloutStatus:
    """The first step begins, with its time, when the gate lets it."""
    if (waits := closed(case, GateKind.CONFIRM_ROLLOUT)) is not None:
        return replace(case.status, reason=waits)
    now, answer = case.now, case.gate(GateKind.CONFIRM_ROLLOUT)
    why = f": {answer.reason}" if answer is not None and answer.reason else ""
    reason = f"the gate {GateKind.CONFIRM_ROLLOUT} let it begin{why}"
    return replace(case.status, confirmed_at=now, step_began_at=now, progressed_at=now, reason=reason)


def _at_the_end(case: Case) -> RolloutStatus:
    status = case.status
    if not case.plan.promotes:
        reason = "all steps are done; this plan exposes nobody, so a person decides what comes of it"
        return replace(status, phase=RolloutPhase.COMPLETED, weight_bp=0, reason=reason)
    lacking = not_proven(case)
    if lacking is not None:
        return replace(status, reason=lacking)
    if (hold := raise_held(case)) is not None:
        return replace(status, reason=f"{HOLDS}{hold}")
    if (waits := closed(case, GateKind.CONFIRM_PROMOTION)) is not None:
        return replace(status, reason=waits)
    return replace(
        status,
        phase=RolloutPhase.PROMOTING,
        promotion_began=True,
        reason=f"every step is done and its evidence is positive: version {status.candidate} becomes champion",
    )


def promoting(case: Case) -> RolloutStatus | None:
    """Goes on until the candidate is seen to answer as champion and the former one has ended its studies."""
    status, world = case.status, case.world
    if status.phase is not RolloutPhase.PROMOTING:
        return None
    if (hold := held(case)) is not None:
        return replace(status, reason=f"{HOLDS}{hold}")
    if world.champion != status.candidate:
        waits = "the weight of 100 % is" if world.weight_bp != BASIS_POINTS else "the alias champion has"
        return replace(status, reason=f"promotes version {status.candidate}: waits until {waits} in force")
    promoted = replace(status, promoted_at=status.promoted_at or case.now, weight_bp=0)
    if not is_settled(status, world):
        return replace(promoted, reason=f"waits until version {status.stable} has ended its studies")
    if case.plan.surveillance is None:
        reason = f"version {status.candidate} is champion"
        return replace(promoted, phase=RolloutPhase.COMPLETED, reason=reason)
    reason = f"version {status.candidate} is champion, and is watched with late truth"
    return replace(promoted, phase=RolloutPhase.SURVEILLING, acknowledged=(), reason=reason)


def surveilling(case: Case) -> RolloutStatus | None:
    """Watches until its time is over; harm is another rule's. Silence neither confirms nor ends anything early."""
    status, surveillance = case.status, case.plan.surveillance
    if status.phase is not RolloutPhase.SURVEILLING or status.promoted_at is None:
        return None
    if surveillance is None:
        return replace(status, phase=RolloutPhase.COMPLETED, reason=f"version {status.candidate} is champion")
    if (case.now - status.promoted_at).total_seconds() < surveillance.duration_s:
        return status
    reason = f"version {status.candidate} is champion, and its surveillance is over"
    return replace(status, phase=RolloutPhase.COMPLETED, reason=reason)
