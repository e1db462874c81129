"""How far two versions are apart, as a number with its spread: it describes, and no verdict is made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from canary.evidence.metric import Evidence, MetricKind, MetricSpec
from canary.routing_table import BASIS_POINTS

NORMAL_95: Final = 1.959964
_POINTS: Final = frozenset({MetricKind.SENSITIVITY, MetricKind.SPECIFICITY, MetricKind.SHADOW_FAILURES})


@dataclass(frozen=True, slots=True)
class Estimate:
    """`what` says what the value is, `unit` how to read it (`pp`: percentage points; `ratio`; or empty).

    `interval` is the usual one of 95 % for a number of studies that was fixed before: it is narrower than one that
    may be looked at after each study. None where the spread is not known.
    """

    what: str
    value: float
    unit: str = ""
    interval: tuple[float, float] | None = None


def estimate_of(spec: MetricSpec, seen: Evidence) -> Estimate | None:
    """None where nothing was seen, and of an AUC, whose verdict tells both."""
    if spec.kind is MetricKind.CANARY_FAILURES:
        return _share_of_errors(seen)
    if spec.kind is MetricKind.FAILURES_OVER_SLO:
        if not seen.observed:
            return None
        return Estimate("failed canary studies", 100 * seen.candidate_events / seen.observed, "%")
    if not seen.differences.count:
        return None
    if spec.kind is MetricKind.LATENCY:
        return _latency(seen)
    what = "studies answered" if spec.kind is MetricKind.SHADOW_FAILURES else spec.kind.value
    scale, unit = (100.0, "pp") if spec.kind in _POINTS else (1.0, "")
    if spec.relative:
        scale, unit = 100.0, "%"
    value = scale * seen.differences.mean
    return Estimate(f"{what}, candidate minus champion", value, unit, _around(value, scale * _error(seen)))


def _share_of_errors(seen: Evidence) -> Estimate | None:
    if not seen.expected_bp:
        return None
    ratio = seen.candidate_events * BASIS_POINTS / seen.expected_bp
    return Estimate("failures in the canary, against what its weight explains", ratio, "ratio")


def _latency(seen: Evidence) -> Estimate:
    """The differences are logs of champion over candidate."""
    low, high = _around(-seen.differences.mean, _error(seen)) or (math.nan, math.nan)
    interval = None if math.isnan(low) else (math.exp(low), math.exp(high))
    return Estimate(
        "time of the candidate over the champion's", math.exp(-seen.differences.mean), "ratio", interval
    )


def _error(seen: Evidence) -> float:
    """Standard error of the mean; 0 where it is not known."""
    return seen.differences.sd / math.sqrt(seen.differences.count)


def _around(value: float, error: float) -> tuple[float, float] | None:
    return (value - NORMAL_95 * error, value + NORMAL_95 * error) if error > 0 else None
