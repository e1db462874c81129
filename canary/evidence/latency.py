"""Is the candidate slower on the same studies? An asymptotic test of the mean log ratio, valid at every look."""

from __future__ import annotations

import math
from typing import Final

from scipy.special import log_ndtr

from canary.evidence.moments import Moments

MIN_PAIRS: Final = 30  # below, the normal limit does not hold yet
_NO_SPREAD: Final = 1e-9  # pairs that differ by rounding only


def sharpness(alpha: float, typical_pairs: int) -> float:
    """ρ² of the mixture whose one-sided interval at `alpha` is narrowest near `typical_pairs`."""
    double = -2.0 * math.log(2.0 * alpha)
    return (double + math.log1p(double)) / typical_pairs


def log_e_above(values: Moments, bound: float, *, rho2: float) -> float:
    """Natural log of the evidence that the mean of `values` lies above `bound`; 0 below `MIN_PAIRS`.

    Inverted it is the asymptotic confidence sequence of Waudby-Smith et al. (Annals of Statistics 2024), one-sided:
    E = 2/√(nρ²+1) · exp(ρ²S²/2(nρ²+1)) · Φ(ρS/√(nρ²+1)), where S is the sum of (value - bound)/σ̂. It is an e-value
    in the limit of many pairs, not before.
    """
    n = values.count
    if n < MIN_PAIRS or values.sd < _NO_SPREAD:
        return 0.0
    spread = n * rho2 + 1.0
    z = n * (values.mean - bound) / values.sd * math.sqrt(rho2 / spread)
    return math.log(2.0) - 0.5 * math.log(spread) + 0.5 * z * z + float(log_ndtr(z))


def log_e_below(values: Moments, bound: float, *, rho2: float) -> float:
    """Natural log of the evidence that the mean of `values` lies below `bound`."""
    return log_e_above(Moments(values.count, -values.mean, values.squares), -bound, rho2=rho2)
