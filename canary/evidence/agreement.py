"""Do two versions measure the same? Read once, at the number of pairs that was planned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri, stdtr, stdtrit

from canary.evidence.moments import Moments

CONFIDENCE: Final = 0.95
_UPPER: Final = 0.5 + CONFIDENCE / 2


@dataclass(frozen=True, slots=True)
class Agreement:
    """Candidate minus champion over `pairs` pairs, in their unit.

    `p_equivalent` is the larger p-value of two one-sided t-tests (TOST; Schuirmann 1987), `p_biased` that of a mean
    beyond the margin. `lower_limit` and `upper_limit` are the limits of agreement, each with its 95 % interval
    (Bland & Altman 1999, section 2.1).
    """

    pairs: int
    mean: float
    p_equivalent: float
    p_biased: float
    lower_limit: float
    upper_limit: float
    lower_interval: tuple[float, float]
    upper_interval: tuple[float, float]


def agreement_of(differences: Moments, margin: float) -> Agreement:
    """Raises ValueError below two pairs, where a spread is not known."""
    n, mean, sd = differences.count, differences.mean, differences.sd
    if n < 2:
        raise ValueError("agreement needs two pairs or more")
    above = _p_above(mean + margin, sd, n)
    below = _p_above(margin - mean, sd, n)
    half, spread = float(ndtri(_UPPER)) * sd, _half_width(sd, n)
    low, high = mean - half, mean + half
    return Agreement(
        pairs=n,
        mean=mean,
        p_equivalent=max(above, below),
        p_biased=min(1.0, 2.0 * _p_above(abs(mean) - margin, sd, n)),
        lower_limit=low,
        upper_limit=high,
        lower_interval=(low - spread, low + spread),
        upper_interval=(high - spread, high + spread),
    )


def _p_above(distance: float, sd: float, n: int) -> float:
    """One-sided p-value that a mean lies above a bound, `distance` below the observed mean."""
    if sd == 0.0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(n - 1, -distance / (sd / math.sqrt(n))))


def _half_width(sd: float, n: int) -> float:
    """Of the interval of a limit of agreement, whose variance is sd²(1/n + 1.96²/2(n-1))."""
    z = float(ndtri(_UPPER))
    return float(stdtrit(n - 1, _UPPER)) * sd * math.sqrt(1 / n + z * z / (2 * (n - 1)))
