"""Does something happen more often than it should? Factors of a likelihood ratio, one per ratio of odds."""

from __future__ import annotations

import math
from collections.abc import Sequence


def odds_log_factors(probability: float, ratios: Sequence[float], *, hit: bool) -> tuple[float, ...]:
    """Natural logs of the factors of one event that has `probability` under the null.

    Against odds that are r times as high the event has θ = pr/(pr+1-p); the factor is θ/p if it came and
    (1-θ)/(1-p) if not, with the mean 1 under the null. Where all r exceed 1, a lower probability makes it smaller.
    """
    return tuple(_log_factor(probability, ratio, hit=hit) for ratio in ratios)


def _log_factor(p: float, ratio: float, *, hit: bool) -> float:
    if p in (0.0, 1.0):  # certain under the null: the one contradiction disproves it
        return 0.0 if hit == (p == 1.0) else math.inf
    theta = p * ratio / (p * ratio + 1.0 - p)
    return math.log(theta / p) if hit else math.log((1.0 - theta) / (1.0 - p))
