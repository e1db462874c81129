"""What a metric has seen, in words that a physician can follow."""

from __future__ import annotations

import math

from canary.evidence.metric import Evidence, MetricKind, MetricSpec

_UNITS = {
    MetricKind.CANARY_FAILURES: "canary studies",
    MetricKind.FAILURES_OVER_SLO: "canary studies",
    MetricKind.SENSITIVITY: "positive studies",
    MetricKind.SPECIFICITY: "negative studies",
}


def unit(spec: MetricSpec) -> str:
    return _UNITS.get(spec.kind, "studies read by both")


def facts(spec: MetricSpec, seen: Evidence) -> str:
    """One clause about what was counted; the numbers behind the evidence, not the evidence."""
    if spec.kind is MetricKind.CANARY_FAILURES:
        return _errors_by_arm(seen)
    candidate, champion = seen.candidate_events, seen.champion_events
    mean = seen.differences.mean
    match spec.kind:
        case MetricKind.FAILURES_OVER_SLO:
            return f"{candidate} failed, where {percent(spec.slo or 0.0)} are accepted"
        case MetricKind.SHADOW_FAILURES:
            return f"the candidate failed {_times(candidate)} and the champion {_times(champion)}"
        case MetricKind.SENSITIVITY:
            return f"the candidate missed {candidate} and the champion {champion}"
        case MetricKind.SPECIFICITY:
            return f"the candidate was wrong on {candidate} and the champion on {champion}"
        case MetricKind.DICE:
            return f"the candidate's segmentation overlaps with a Dice of {1 + mean:.3f} on average"
        case MetricKind.LATENCY:
            return f"the candidate takes {math.exp(-mean):.2f} times as long"
    return f"{seen.observed} of {spec.planned_looks[-1]} planned"


def _errors_by_arm(seen: Evidence) -> str:
    errors = seen.candidate_events + seen.champion_events
    if not errors:
        return "no error in either arm"
    share = seen.expected_bp / errors / 10_000
    return f"{seen.candidate_events} of {errors} errors fell in a {percent(share)} arm"


def evidence(log10_e: float, limit: float) -> str:
    """The evidence beside what it takes; rounded so that what is not reached never reads as reached."""
    if log10_e >= limit:
        return f"log10 E = {log10_e:.1f} ≥ {limit:.1f}"
    return f"log10 E = {math.floor(log10_e * 10) / 10:.1f} of {limit:.1f}"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
