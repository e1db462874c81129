"""How much a candidate may cost patients before it is decided: studies that it answers, adverse events among them."""

from __future__ import annotations

from canary.rollout.plan import ExposureBudget
from canary.rollout.seen import RolloutEvidence
from canary.routing_table import BASIS_POINTS


def spent(budget: ExposureBudget, evidence: RolloutEvidence | None, declared_bp: int) -> str | None:
    """Why the candidate may answer no further study, in a sentence; None while it may.

    The studies bound what comes before the decision: at a weight of 100 % it has fallen. Adverse events count at
    every weight. What is not known is not spent: without evidence no weight is raised anyway.
    """
    if evidence is None:
        return None
    if budget.adverse is not None and evidence.adverse_events >= budget.adverse:
        return f"the budget is spent: {evidence.adverse_events} of {budget.adverse} adverse events"
    is_decided = declared_bp >= BASIS_POINTS
    if not is_decided and budget.studies is not None and evidence.exposed_studies >= budget.studies:
        return f"the budget is spent: {evidence.exposed_studies} of {budget.studies} exposed studies"
    return None
