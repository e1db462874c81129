"""From a study's analysis to its rows in the decision ledger: who answered, and who did not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from canary.assignment import Assignment
from canary.explain import DecisionRow, decision_row
from canary.routing_table import Variant
from serve_apps.application.predict_with_fallback import InferenceOutcome, VariantFailure


@dataclass(frozen=True, slots=True)
class RoutedStudy:
    """Who was to read a study of `model`: decided at `at`, by a snapshot of the controller's `epoch`."""

    model: str
    assignment: Assignment
    epoch: int
    at: datetime

    def row(self, variant: Variant, role: str, outcome: str, **more: Any) -> DecisionRow:
        """The row of one variant. That of a fallback to the champion keeps the draw that led to it."""
        row = decision_row(
            self.assignment,
            self.model,
            role=role,
            outcome=outcome,
            epoch=self.epoch,
            assigned_at=self.at,
            **more,
        )
        return replace(row, variant=variant.name, version=variant.version, digest=variant.digest)


def decision_rows(routed: RoutedStudy, outcome: InferenceOutcome[Any]) -> tuple[DecisionRow, ...]:
    """One row per variant that was to answer."""
    before = [failure for failure in outcome.failures if failure.variant != outcome.variant]
    latency_ms = sum(timing.duration_ms for timing in outcome.inference.stages)
    answered = routed.row(outcome.variant, "answered", "ok", latency_ms=round(latency_ms, 3))
    return (*failed_rows(routed, before), replace(answered, reason=outcome.reason))


def failed_rows(routed: RoutedStudy, failures: Sequence[VariantFailure]) -> tuple[DecisionRow, ...]:
    """One row per variant that was to answer and did not, by its last failure."""
    last = {failure.variant: failure for failure in failures}
    return tuple(
        routed.row(variant, "failed", failure.code, counts=failure.counts)
        for variant, failure in last.items()
    )
