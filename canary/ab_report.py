"""What an A/B test has shown so far, by arm: how many, how fast, how often it failed, how often it flagged.

The arms are equal in rights: nothing here calls one of them better, and nothing follows from it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class ArmReading:
    """One study that was drawn for an arm. `flagged` and `latency_ms` are None where the arm did not answer."""

    arm: str
    version: str
    identity: str
    answered: bool
    latency_ms: float | None = None
    flagged: bool | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`, with Wilson's 95 % interval; no numbers without data."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        if not self.total:
            return None
        from scipy.stats import binomtest  # type: ignore[attr-defined]  # few processes ask, and it takes half a second to import

        bounds = binomtest(self.hits, self.total).proportion_ci(CONFIDENCE, method="wilson")
        return float(bounds.low), float(bounds.high)


@dataclass(frozen=True, slots=True)
class ArmMetrics:
    """One arm under one version. `patients` counts identities, the unit of the draw; latencies in milliseconds."""

    arm: str
    version: str
    patients: int
    studies: int
    failed: Share
    flagged: Share
    latency_p50_ms: float | None
    latency_p95_ms: float | None


def arm_metrics(readings: Iterable[ArmReading]) -> tuple[ArmMetrics, ...]:
    """Metrics by arm and version, in the order of their names."""
    grouped: dict[tuple[str, str], list[ArmReading]] = {}
    for reading in readings:
        grouped.setdefault((reading.arm, reading.version), []).append(reading)
    return tuple(_metrics(arm, version, group) for (arm, version), group in sorted(grouped.items()))


def _metrics(arm: str, version: str, group: list[ArmReading]) -> ArmMetrics:
    flags = [reading.flagged for reading in group if reading.flagged is not None]
    latencies = [reading.latency_ms for reading in group if reading.latency_ms is not None]
    return ArmMetrics(
        arm=arm,
        version=version,
        patients=len({reading.identity for reading in group}),
        studies=len(group),
        failed=Share(sum(not reading.answered for reading in group), len(group)),
        flagged=Share(sum(flags), len(flags)),
        latency_p50_ms=_quantile(latencies, 50),
        latency_p95_ms=_quantile(latencies, 95),
    )


def _quantile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
