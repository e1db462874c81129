"""Whole valid metrics and studies; a test states only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from canary.evidence.metric import Hypothesis, MetricKind, MetricSpec
from canary.evidence.observations import AssignedStudy, DiagnosisPair, FailurePair

ERRORS = MetricSpec(name="errors", kind=MetricKind.CANARY_FAILURES)
SHADOW_ERRORS = MetricSpec(name="shadow-errors", kind=MetricKind.SHADOW_FAILURES)
SENSITIVITY = MetricSpec(
    name="sensitivity",
    kind=MetricKind.SENSITIVITY,
    hypothesis=Hypothesis.NON_INFERIORITY,
    margin=0.05,
    justification="a reader misses more than twice as many",
)


def spec_of(kind: MetricKind, **changes: Any) -> MetricSpec:
    """A metric of a kind with what that kind needs."""
    needs: dict[str, Any] = {"name": kind.value, "kind": kind}
    if kind is MetricKind.FAILURES_OVER_SLO:
        needs["slo"] = 0.01
    if kind in (MetricKind.MEASUREMENT, MetricKind.AUC):
        needs["planned_looks"] = (40,)
    if kind not in (MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO):
        needs |= {"hypothesis": Hypothesis.NON_INFERIORITY, "margin": 0.05, "justification": "agreed"}
    return MetricSpec(**needs | changes)


def dry(spec: MetricSpec) -> MetricSpec:
    return replace(spec, dry_run=True)


def error(*, in_canary: bool, weight_bp: int = 500) -> AssignedStudy:
    return AssignedStudy(in_canary=in_canary, failed=True, weight_bp=weight_bp)


def read_well(*, in_canary: bool = True, weight_bp: int = 500) -> AssignedStudy:
    return AssignedStudy(in_canary=in_canary, failed=False, weight_bp=weight_bp)


def positive(candidate: bool | None, champion: bool | None, *strata: str) -> DiagnosisPair:
    return DiagnosisPair(
        positive=True, candidate_positive=candidate, champion_positive=champion, strata=strata
    )


def pair(candidate_failed: bool, champion_failed: bool, *strata: str) -> FailurePair:
    return FailurePair(candidate_failed=candidate_failed, champion_failed=champion_failed, strata=strata)
