"""What a declared rollout would take at a site: studies and days to each decision, and what cannot be decided."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from canary.evidence.forecast import Exposure, Forecast, Site, forecast
from canary.rollout.plan import RolloutPlan, declared_mirror_bp, declared_weight_bp
from canary.rollout.step import metrics_of


def forecasts_of(plan: RolloutPlan, studies_per_day: float, prevalence: float) -> list[dict[str, Any]]:
    """One row for each decision, in the order of the plan's metrics. `days` is None where nothing feeds it."""
    site = Site(studies_per_day=studies_per_day, prevalence=prevalence)
    guardrails = sum(not (one.critical or one.dry_run) for one in plan.metrics)
    return [
        row_of(plan, found)
        for metric in plan.metrics
        for found in forecast(metric, site, exposure_of(plan, metric.name), guardrails=max(1, guardrails))
    ]


def exposure_of(plan: RolloutPlan, metric: str) -> Exposure:
    """What reaches the candidate in the first step that asks for the metric; of the background, the first weight."""
    step = next(_asking(plan, metric), None)
    if step is None:
        step = next((n for n in range(len(plan.steps)) if declared_weight_bp(plan, n)), len(plan.steps))
    return Exposure(weight_bp=declared_weight_bp(plan, step), shadow_bp=declared_mirror_bp(plan, step))


def row_of(plan: RolloutPlan, found: Forecast) -> dict[str, Any]:
    has_end = math.isfinite(found.days)
    return {
        "rollout": plan.name,
        "metric": found.metric,
        "decision": str(found.hypothesis),
        "observations": found.observations if has_end else None,
        "unit": found.unit,
        "days": round(found.days, 1) if has_end else None,
        "warning": found.warning,
    }


def _asking(plan: RolloutPlan, metric: str) -> Iterator[int]:
    return (number for number, step in enumerate(plan.steps) if metric in metrics_of(step))
