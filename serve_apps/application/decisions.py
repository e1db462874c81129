"""From a study's analysis to its rows in the decision ledger: who answered, and who did not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from canary.assignment import Assignment
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Variant
from serve_apps.application.predict_with_fallback import InferenceOutcome, VariantFailure


def decision_rows(
    model: str, assignment: Assignment, outcome: InferenceOutcome[Any]
) -> tuple[DecisionRow, ...]:
    """One row per variant that was asked. The row of a champion that stood in keeps the draw that led to it."""
    before = [failure for failure in outcome.failures if failure.variant != outcome.variant]
    latency_ms = sum(timing.duration_ms for timing in outcome.inference.stages)
    answer = decision_row(assignment, model, role="answered", outcome="ok", latency_ms=round(latency_ms, 3))
    answered = _of(replace(answer, reason=outcome.reason), outcome.variant)
    return (*failed_rows(model, assignment, before), answered)


def failed_rows(
    model: str, assignment: Assignment, failures: Sequence[VariantFailure]
) -> tuple[DecisionRow, ...]:
    """One row per variant that was to answer and did not, by its last failure."""
    last = {failure.variant: failure for failure in failures}
    return tuple(
        replace(
            _of(decision_row(assignment, model, role="failed", outcome=failure.code), variant),
            counts=failure.counts,
        )
        for variant, failure in last.items()
    )


def _of(row: DecisionRow, variant: Variant) -> DecisionRow:
    return replace(row, variant=variant.name, version=variant.version, digest=variant.digest)
