"""Does a score of 0.3 still mean 30 in a hundred? An e-process over studies whose truth is known.

Under "each finding is there with the probability that was said" each bet's factor has the mean 1, so the e-value
reaches 1/alpha with a chance of at most alpha, whenever one looks. The audited studies may be chosen by their scores,
but not by what was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.mixture import Mixture

BETS: Final = tuple(
    (shift, slope) for shift in (-0.7, 0.0, 0.7) for slope in (0.6, 1.0, 1.5) if (shift, slope) != (0.0, 1.0)
)  # θ = expit(shift + slope · logit(p)): findings rarer, as many or more; too sure, or not sure enough
SURE: Final = 1e-4  # nothing is bet on a score that is nearer to certainty


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a model said of a finding, in [0, 1], and whether it was there."""

    probability: float
    is_present: bool

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError("a probability lies within 0..1")


def calibration_evidence(outcomes: Iterable[Outcome], before: Mixture | None = None) -> Mixture:
    """Evidence against "calibrated", one bet for each shift and slope; `before` is what was known already."""
    evidence = before or Mixture.start(len(BETS))
    for outcome in outcomes:
        if SURE <= outcome.probability <= 1.0 - SURE:
            evidence = evidence.times(_log_factors(outcome))
    return evidence


def _log_factors(outcome: Outcome) -> tuple[float, ...]:
    said = math.log(outcome.probability / (1.0 - outcome.probability))
    sign = 1.0 if outcome.is_present else -1.0
    null = _log_expit(sign * said)
    return tuple(_log_expit(sign * (shift + slope * said)) - null for shift, slope in BETS)


def _log_expit(value: float) -> float:
    return -math.log1p(math.exp(-value)) if value > -30.0 else value
