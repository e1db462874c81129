"""From an answered study to its rows in the decision ledger: who answered, and who failed before. Pure."""

from __future__ import annotations

from dataclasses import replace

from canary.assignment import Assignment
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Variant
from serve_apps.application.predict_with_fallback import InferenceOutcome


def decision_rows(model: str, assignment: Assignment, answered: InferenceOutcome) -> tuple[DecisionRow, ...]:
    """One row per variant that was asked. The row of a stand-in keeps the draw that led to it."""
    failed = tuple(
        _of(decision_row(assignment, model, role="failed", outcome=failure.code), failure.variant)
        for failure in answered.failures
        if failure.variant != answered.variant
    )
    latency_ms = sum(timing.duration_ms for timing in answered.inference.stages)
    answer = decision_row(assignment, model, role="answered", outcome="ok", latency_ms=round(latency_ms, 3))
    return (*failed, _of(replace(answer, reason=answered.reason), answered.variant))


def _of(row: DecisionRow, variant: Variant) -> DecisionRow:
    return replace(row, variant=variant.name, version=variant.version, digest=variant.digest)
