"""What a rollout asks of its candidate: each question as it was declared before the first study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricKind(StrEnum):
    CANARY_FAILURES = "canary-failures"  # do more errors fall in the canary than its weight explains?
    SHADOW_FAILURES = "shadow-failures"  # which version fails more, on the same studies
    FAILURES_OVER_SLO = "failures-over-slo"  # does the canary fail more often than a fixed rate allows?
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    DICE = "dice"
    MEASUREMENT = "measurement"  # a volume, a diameter: read once, at the planned number
    LATENCY = "latency"
    AUC = "auc"  # read at planned looks only


class Hypothesis(StrEnum):
    NO_HARM = "harm"  # a guardrail: it stops a candidate that is worse, and proves nothing of one that is not
    NON_INFERIORITY = "non-inferiority"  # the candidate is not worse by the margin or more


NEEDS_CANARY: Final = frozenset({MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO})
PLANNED: Final = frozenset({MetricKind.MEASUREMENT, MetricKind.AUC})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMetric:
    """One question. Raises ValueError for what could never be judged, and for a margin that nobody justified.

    `margin`: the loss that is not accepted any more: a difference of proportions, AUC or Dice, of a measurement in
    its unit (or as a share, where `relative`), of a latency as a share (0.2: 20 % slower). `tolerance`: a loss up to
    it is no harm. `slo`: the highest failure rate that is accepted. `planned_looks`: numbers of cases at which a
    planned metric is read. `futility_limit`: so many observations without a decision are Inconclusive. A guardrail
    is Successful from `min_observations` without harm. `dry_run`: measured and told, and nothing follows.
    `critical`: fails by its own `alpha_harm`, which it shares with no other metric. `must_have_data`: without data it
    holds the promotion.
    """

    name: str
    kind: MetricKind
    hypothesis: Hypothesis = Hypothesis.NO_HARM
    margin: float | None = None
    justification: str = ""
    tolerance: float = 0.0
    slo: float | None = None
    relative: bool = False
    alpha_harm: float = 0.01
    alpha_non_inferiority: float = 0.025
    planned_looks: tuple[int, ...] = ()
    typical_observations: int = 100
    futility_limit: int | None = None
    min_observations: int = 60
    strata: tuple[str, ...] = ()
    max_strata: int = 8
    min_per_stratum: int = 30
    strata_fdr: float = 0.10
    dry_run: bool = False
    critical: bool = False
    must_have_data: bool = True

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(problem)


def _problems(metric: PlannedMetric) -> Iterator[str]:
    if not metric.name.strip():
        yield "a metric has a name"
    yield from _of_margin(metric)
    yield from _of_numbers(metric)
    if (metric.kind is MetricKind.FAILURES_OVER_SLO) != (metric.slo is not None):
        yield "slo goes with failures-over-slo, and only there"
    if metric.slo is not None and not 0 < metric.slo < 1:
        yield "slo lies between 0 and 1"
    if metric.kind in PLANNED and metric.strata:
        yield "a planned metric has no strata"
    if (metric.kind in PLANNED) != bool(metric.planned_looks):
        yield "plannedLooks goes with a measurement or an AUC, and only there"


def _of_margin(metric: PlannedMetric) -> Iterator[str]:
    is_non_inferiority = metric.hypothesis is Hypothesis.NON_INFERIORITY
    if is_non_inferiority and metric.kind in NEEDS_CANARY:
        yield f"{metric.kind} can show harm only"
    if is_non_inferiority and metric.margin is None:
        yield "non-inferiority needs a margin"
    if metric.kind is MetricKind.MEASUREMENT and not is_non_inferiority:
        yield "a measurement is judged by its margin only: its hypothesis is non-inferiority"
    if metric.margin is None:
        return
    if not metric.justification.strip():
        yield "a margin needs a justification: why a loss below it is acceptable for patients"
    if metric.margin <= 0:
        yield "a margin lies above 0"
    if metric.margin >= 1 and metric.kind not in (MetricKind.LATENCY, MetricKind.MEASUREMENT):
        yield "a margin of a proportion lies below 1"
    if metric.tolerance >= metric.margin:
        yield "tolerance lies below the margin"


def _of_numbers(metric: PlannedMetric) -> Iterator[str]:
    shares = (metric.alpha_harm, metric.alpha_non_inferiority, metric.strata_fdr)
    if not all(0 < share < 1 for share in shares):
        yield "alphaHarm, alphaNonInferiority and strataFdr lie between 0 and 1"
    counts = (metric.typical_observations, metric.min_observations, metric.max_strata, metric.min_per_stratum)
    if min(counts) < 1 or (metric.futility_limit is not None and metric.futility_limit < 1):
        yield "numbers of observations and strata lie above 0"
    if not 0 <= metric.tolerance < 1:
        yield "tolerance lies within 0..1"
    looks = metric.planned_looks
    if list(looks) != sorted({*looks}) or min(looks, default=2) < 2:
        yield "plannedLooks grow, from 2"
    if metric.kind is MetricKind.MEASUREMENT and len(looks) > 1:
        yield "a measurement is read once"
