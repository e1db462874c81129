"""How many studies and days a decision will take, before the first study is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri

from canary.evidence import told
from canary.evidence.latency import log_e_above, sharpness
from canary.evidence.metric import PLANNED, Hypothesis, MetricKind, MetricSpec
from canary.evidence.moments import Moments
from canary.evidence.paired_difference import harm_log_factors, non_inferiority_log_factors
from canary.routing_table import BASIS_POINTS

POWER: Final = 0.8
_ARMS: Final = frozenset({MetricKind.CANARY_FAILURES, MetricKind.FAILURES_OVER_SLO})
_ACCURACY: Final = frozenset({MetricKind.SENSITIVITY, MetricKind.SPECIFICITY})
Outcomes = Sequence[tuple[float, float]]  # a difference and its probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site's volume, and what is assumed of the versions where nothing is known yet.

    `discordance`: share of the studies of one truth on which exactly one version is right. `worse_…` is the harm
    that is to be found. Rates and shares lie within 0..1, `difference_sd` is in the unit of the measurement.
    """

    studies_per_day: float
    prevalence: float
    failure_rate: float = 0.01
    worse_failure_rate: float = 0.03
    accuracy: float = 0.90
    discordance: float = 0.10
    worse_accuracy_by: float = 0.05
    dice_sd: float = 0.05
    worse_dice_by: float = 0.03
    latency_log_sd: float = 0.4
    slower_by: float = 0.2
    difference_sd: float = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What reaches the candidate: a share of the patients as canary, a share of the studies as shadow."""

    weight_bp: int = 0
    shadow_bp: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """About half of all rollouts decide within `observations`; `days` is infinite where nothing feeds the metric."""

    metric: str
    hypothesis: Hypothesis
    observations: int
    unit: str
    days: float
    warning: str | None = None


def forecast(
    spec: MetricSpec, site: Site, exposure: Exposure, *, guardrails: int = 1, horizon_days: float = 60.0
) -> tuple[Forecast, ...]:
    """When harm would be found, and when non-inferiority of an equal candidate would be shown.

    A warning tells of a decision that takes longer than `horizon_days`.
    """
    if spec.kind in PLANNED:
        planned = float(spec.planned_looks[-1])
        return (_told(spec, site, exposure, spec.hypothesis, planned, horizon_days),)
    alpha = spec.alpha_harm / (1 if spec.critical else guardrails)
    needed = {Hypothesis.NO_HARM: _to_harm(spec, site, exposure, alpha)}
    if spec.hypothesis is Hypothesis.NON_INFERIORITY:
        needed[Hypothesis.NON_INFERIORITY] = _to_non_inferiority(spec, site)
    return tuple(_told(spec, site, exposure, asked, count, horizon_days) for asked, count in needed.items())


def canary_studies(p0: float, p1: float, weight: float, alpha: float) -> float:
    """Canary studies until a failure rate of p1 instead of p0 is found beside the champion, at a share `weight`."""
    per_study = p1 + p0 * (1.0 - weight) / weight
    theta = weight * p1 / (weight * p1 + (1.0 - weight) * p0)
    return -math.log(alpha) / (per_study * divergence(theta, weight))


def slo_studies(slo: float, p1: float, alpha: float) -> float:
    return -math.log(alpha) / divergence(p1, slo)


def bet_studies(
    outcomes: Outcomes, alpha: float, *, margin: float | None = None, tolerance: float = 0.0
) -> float:
    """Pairs until the best of the product's bets reaches 1/alpha at its mean rate of growth.

    For small differences and a right margin δ this is 2ψ·ln(1/alpha)/δ², ψ the share of discordant pairs.
    """
    steps = [
        tuple(probability * factor for factor in _factors(difference, margin, tolerance))
        for difference, probability in outcomes
    ]
    best = max(sum(step) for step in zip(*steps, strict=True))
    return -math.log(alpha) / best if best > 0 else math.inf


def _factors(difference: float, margin: float | None, tolerance: float) -> tuple[float, ...]:
    if margin is None:
        return harm_log_factors(difference, tolerance=tolerance)
    return non_inferiority_log_factors(difference, margin=margin)


def latency_pairs(log_ratio: float, sd: float, alpha: float, typical: int) -> float:
    """Pairs until a mean log ratio above its bound by `log_ratio` is found."""
    rho2, limit = sharpness(alpha, typical), -math.log(alpha)
    low, high = 1, 1 << 24

    def is_found(n: int) -> bool:
        return log_e_above(Moments(n, log_ratio, sd * sd * (n - 1)), 0.0, rho2=rho2) >= limit

    if not is_found(high):
        return math.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_found(middle) else (middle + 1, high)
    return float(low)


def unpaired_studies(accuracy: float, margin: float, weight: float, alpha: float) -> float:
    """Canary studies of one truth for non-inferiority between arms, one look, at a power of 80 %."""
    z = float(-ndtri(alpha) + ndtri(POWER))
    return z * z * accuracy * (1.0 - accuracy) * (1.0 + weight / (1.0 - weight)) / margin**2


def tost_pairs(sd: float, margin: float, alpha: float, power: float = 0.9) -> int:
    """Pairs that show agreement within the margin where there is no difference."""
    z = float(-ndtri(alpha) + ndtri(0.5 + power / 2.0))
    return math.ceil(z * z * sd * sd / margin**2)


def divergence(p: float, q: float) -> float:
    """Kullback-Leibler divergence of one yes-or-no draw from another, in nats."""
    terms = ((p, q), (1.0 - p, 1.0 - q))
    return sum(a * math.log(a / b) for a, b in terms if a > 0.0)


def _to_harm(spec: MetricSpec, site: Site, exposure: Exposure, alpha: float) -> float:
    p0, p1, weight = site.failure_rate, site.worse_failure_rate, exposure.weight_bp / BASIS_POINTS
    tolerance = spec.tolerance
    match spec.kind:
        case MetricKind.CANARY_FAILURES:
            return canary_studies(p0, p1, weight, alpha) if 0.0 < weight < 1.0 else math.inf
        case MetricKind.FAILURES_OVER_SLO:
            return slo_studies(spec.slo or p0, p1, alpha)
        case MetricKind.SHADOW_FAILURES:
            return bet_studies(_discordant(p1 * (1 - p0), p0 * (1 - p1)), alpha, tolerance=tolerance)
        case MetricKind.LATENCY:
            effect = math.log1p(site.slower_by) - math.log1p(tolerance)
            return latency_pairs(effect, site.latency_log_sd, alpha, spec.typical_observations)
        case MetricKind.DICE:
            return bet_studies(_around(-site.worse_dice_by, site.dice_sd), alpha, tolerance=tolerance)
    loss = site.worse_accuracy_by
    outcomes = _discordant((site.discordance + loss) / 2, (site.discordance - loss) / 2)
    return bet_studies(outcomes, alpha, tolerance=tolerance)


def _to_non_inferiority(spec: MetricSpec, site: Site) -> float:
    alpha, margin = spec.alpha_non_inferiority, spec.margin or 0.0
    match spec.kind:
        case MetricKind.LATENCY:
            return latency_pairs(math.log1p(margin), site.latency_log_sd, alpha, spec.typical_observations)
        case MetricKind.DICE:
            return bet_studies(_around(0.0, site.dice_sd), alpha, margin=margin)
        case MetricKind.SHADOW_FAILURES:
            only_one = site.failure_rate * (1 - site.failure_rate)
            return bet_studies(_discordant(only_one, only_one), alpha, margin=margin)
    return bet_studies(_discordant(site.discordance / 2, site.discordance / 2), alpha, margin=margin)


def _discordant(worse: float, better: float) -> Outcomes:
    """Only the candidate is wrong, only the champion is, or neither alone."""
    return ((-1.0, worse), (1.0, better), (0.0, 1.0 - worse - better))


def _around(mean: float, sd: float) -> Outcomes:
    return ((mean - sd, 0.5), (mean + sd, 0.5))


def _told(
    spec: MetricSpec, site: Site, exposure: Exposure, asked: Hypothesis, needed: float, horizon_days: float
) -> Forecast:
    per_day = _per_day(spec, site, exposure)
    days = needed / per_day if per_day > 0 and math.isfinite(needed) else math.inf
    warning = None
    if days > horizon_days:
        warning = _warning(spec, site, exposure, asked, days)
    elif spec.kind is MetricKind.MEASUREMENT:
        warning = _too_few(spec, site)
    elif spec.futility_limit is not None and spec.futility_limit < needed:
        warning = f"{spec.name} ends at {spec.futility_limit} {told.unit(spec)}, and {needed:.0f} are needed"
    count = math.ceil(needed) if math.isfinite(needed) else 0
    return Forecast(spec.name, asked, count, told.unit(spec), days, warning)


def _per_day(spec: MetricSpec, site: Site, exposure: Exposure) -> float:
    """Observations of a metric in a day."""
    share = exposure.weight_bp if spec.kind in _ARMS else exposure.shadow_bp
    return site.studies_per_day * share / BASIS_POINTS * _of_truth(spec, site)


def _of_truth(spec: MetricSpec, site: Site) -> float:
    if spec.kind is MetricKind.SENSITIVITY:
        return site.prevalence
    return 1.0 - site.prevalence if spec.kind is MetricKind.SPECIFICITY else 1.0


def _warning(spec: MetricSpec, site: Site, exposure: Exposure, asked: Hypothesis, days: float) -> str:
    verb = "verify" if asked is Hypothesis.NON_INFERIORITY else "find harm by"
    if math.isfinite(days):
        return f"this plan cannot {verb} {spec.name}: {days:.0f} days"
    weight = exposure.weight_bp / BASIS_POINTS
    is_unpaired = asked is Hypothesis.NON_INFERIORITY and spec.kind in _ACCURACY and 0.0 < weight < 1.0
    if not is_unpaired or spec.margin is None:
        return f"this plan cannot {verb} {spec.name}: no study feeds it"
    studies = unpaired_studies(site.accuracy, spec.margin, weight, spec.alpha_non_inferiority)
    alone = studies / (site.studies_per_day * weight * _of_truth(spec, site))
    return f"a {told.percent(weight)} canary cannot verify {spec.name}: {alone:.0f} days"


def _too_few(spec: MetricSpec, site: Site) -> str | None:
    needed = tost_pairs(site.difference_sd, spec.margin or 1.0, spec.alpha_non_inferiority)
    planned = spec.planned_looks[-1]
    return f"{planned} pairs are planned, and {needed} are needed" if planned < needed else None
