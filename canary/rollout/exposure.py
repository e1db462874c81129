"""What a rollout grants its candidate now. What lowers the weight counts at once; raising it has conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from canary.rollout.budget import spent
from canary.rollout.case import Case
from canary.rollout.gate_rules import awaits_start
from canary.rollout.plan import declared_mirror_bp, declared_weight_bp
from canary.rollout.status import WITHOUT_WEIGHT, PauseCause, RolloutPhase, RolloutStatus
from canary.rollout.step import Experiment
from canary.rollout.windows import closed_reason
from canary.routing_table import BASIS_POINTS
from canary.verdict import Verdict

BLIND_S: Final = 900


def granted(case: Case) -> RolloutStatus:
    """The status with the weight and the mirror that it grants now."""
    status = case.status
    weight_bp, mirror_bp = _weight_bp(case), _mirror_bp(case)
    if (weight_bp, mirror_bp) == (status.weight_bp, status.mirror_bp):
        return status
    starts = isinstance(case.step, Experiment) and weight_bp > status.weight_bp and not status.has_ended
    began_at = case.now if starts else status.step_began_at  # an experiment's time begins with its weight
    return replace(status, weight_bp=weight_bp, mirror_bp=mirror_bp, step_began_at=began_at)


def forbidden(case: Case) -> str | None:
    """Why the candidate may answer nobody now, in a sentence; None while it may."""
    is_by_hand = case.status.pause is PauseCause.BY_HAND
    return forbidden_by_hand(case) if is_by_hand else _forbidden(case)


def forbidden_by_hand(case: Case) -> str | None:
    """Why the weight that a person set is 0 again, in a sentence; None while it stands. A plan that nobody declared
    forbids a person nothing: the regulatory gate alone does.
    """
    return _gated(case) if case.plan.is_default else _forbidden(case)


def _gated(case: Case) -> str | None:
    return None if case.world.may_answer else f"the regulatory gate: {case.world.gate_reason}"


def _forbidden(case: Case) -> str | None:
    if not case.plan.regulatory.live_exposure_allowed:
        return "its plan allows no live exposure"
    if gated := _gated(case):
        return gated
    if _is_blind(case):
        return f"nothing has been known of the evidence for {BLIND_S // 60} minutes"
    return spent(case.plan.budget, case.evidence, asked_bp(case))


def _is_blind(case: Case) -> bool:
    """Whether nobody could see harm for too long: a canary that nobody watches answers nobody."""
    since = case.status.blind_since
    return since is not None and (case.now - since).total_seconds() >= BLIND_S


def held(case: Case) -> str | None:
    """Why nothing moves on now, in a sentence; None while it may. It ends by itself."""
    world = case.world
    if world.is_frozen:
        return "the site is frozen"
    if not world.registry_answers:
        return "MLflow does not answer, so nobody knows whether the aliases still stand"
    if world.champion is None:
        return "the alias champion is missing"
    if case.evidence is None:
        return "nothing is known of the evidence now"
    if world.data_plane is Verdict.FAILED:
        return "the routers do not do what the table says"
    return forbidden(case) if case.status.weight_bp or asked_bp(case) else None


def raise_held(case: Case) -> str | None:
    """Why no weight is raised now, in a sentence; None while it may be."""
    return held(case) or closed_reason(case.plan.calendar, case.now)


def asked_bp(case: Case) -> int:
    """The weight that the plan asks for where the rollout stands; none before a gate let its first step begin."""
    if case.status.phase is RolloutPhase.PROMOTING:
        return BASIS_POINTS
    if awaits_start(case.plan, case.status):
        return 0
    return declared_weight_bp(case.plan, case.status.step)


def _weight_bp(case: Case) -> int:
    status = case.status
    if status.phase in WITHOUT_WEIGHT or status.is_promoted or forbidden(case):
        return 0
    if status.phase is RolloutPhase.PAUSED:
        return status.weight_bp
    asked = asked_bp(case)
    if asked <= status.weight_bp or status.phase is RolloutPhase.PROMOTING:
        return asked
    return status.weight_bp if raise_held(case) else asked


def _mirror_bp(case: Case) -> int:
    if case.plan.is_default:  # the share is a person's
        return case.world.mirror_bp
    if case.status.phase in (RolloutPhase.PROGRESSING, RolloutPhase.PAUSED):
        return declared_mirror_bp(case.plan, case.status.step)
    return case.status.mirror_bp
