"""The conditions of a rollout, in Argo Rollouts' manner: each holds or not, with why, whatever the phase is."""

from __future__ import annotations

from canary.rollout.budget import spent
from canary.rollout.case import Case
from canary.rollout.exposure import asked_bp
from canary.rollout.proof import missing_approvals, missing_evidence
from canary.rollout.status import ConditionKind, PauseCause, RolloutCondition, RolloutPhase
from canary.verdict import Verdict

_DEGRADED = (RolloutPhase.ROLLING_BACK, RolloutPhase.FAILED)


def conditions_of(case: Case) -> tuple[RolloutCondition, ...]:
    """All ten, always in the same order."""
    status, world = case.status, case.world
    evidence, granted = missing_evidence(case), missing_approvals(case)
    budget = spent(case.plan.budget, case.evidence, asked_bp(case))
    is_bent = case.evidence is not None and case.evidence.sample_ratio is Verdict.FAILED
    moves = status.phase in (RolloutPhase.PROGRESSING, RolloutPhase.PROMOTING)
    plane = world.data_plane
    found = {
        ConditionKind.PROGRESSING: (moves, ""),
        ConditionKind.PAUSED: (
            status.phase is RolloutPhase.PAUSED,
            status.pause.value if status.pause else "",
        ),
        ConditionKind.SHADOW_READY: (world.shadow_ready, ""),
        ConditionKind.DATA_PLANE_VERIFIED: (plane is Verdict.SUCCESSFUL, ""),
        ConditionKind.EVIDENCE_SUFFICIENT: (evidence is None, evidence or ""),
        ConditionKind.SAMPLE_RATIO_OK: (not is_bent, "the split is not the weight" if is_bent else ""),
        ConditionKind.APPROVAL_GRANTED: (granted is None, granted or ""),
        ConditionKind.BUDGET_OK: (budget is None, budget or ""),
        ConditionKind.DEGRADED: (_is_degraded(case), ""),
        ConditionKind.COMPLETED: (status.phase is RolloutPhase.COMPLETED, ""),
    }
    return tuple(RolloutCondition(kind, holds, reason) for kind, (holds, reason) in found.items())


def _is_degraded(case: Case) -> bool:
    status = case.status
    is_reopened = PauseCause.REOPENED in (status.pause, *status.acknowledged)
    return status.phase in _DEGRADED or is_reopened or case.world.data_plane is Verdict.FAILED
