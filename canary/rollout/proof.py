"""Whether a promotion has been earned: positive evidence for each question, and every approval."""

from __future__ import annotations

from collections.abc import Iterator

from canary.evidence.metric import MetricPhase
from canary.rollout import approvals
from canary.rollout.case import Case
from canary.rollout.step import Pause, metrics_of
from canary.rollout.steps import evidence_for
from canary.verdict import Verdict


def missing_evidence(case: Case) -> str | None:
    """Which question of the plan is not answered well now, in a sentence; None when all are."""
    if case.evidence is None:
        return "nothing is known of the evidence now"
    if case.evidence.sample_ratio is Verdict.FAILED:
        return "the split is not the weight, so what was measured cannot be trusted"
    asked = [name for step in case.plan.steps for name in metrics_of(step)]
    verdict = evidence_for(case, asked)
    if not verdict.is_done:
        return verdict.reason
    return next(_silent(case), None)


def missing_approvals(case: Case) -> str | None:
    """Which approval of the plan was not given in this run, in a sentence; None when all were."""
    for number, step in enumerate(case.plan.steps):
        if isinstance(step, Pause) and step.approval is not None:
            wanting = approvals.missing(step.approval, case.approvals_of(number))
            if wanting is not None:
                return f"{wanting} in step {number}"
    return None


def not_proven(case: Case) -> str | None:
    """What a promotion lacks, in a sentence; None when it has been earned."""
    return missing_evidence(case) or missing_approvals(case)


def _silent(case: Case) -> Iterator[str]:
    """Guardrails of the background that must have data, and have none."""
    for name in case.plan.background.metrics:
        metric, found = case.plan.metric(name), case.metric(name)
        if metric.must_have_data and not metric.dry_run:
            if found.observed == 0:
                yield f"waits for {name}, which has no data"
            elif found.phase is MetricPhase.ERROR:
                yield f"waits for {name}: {found.reason}"
