"""Does a count fit its weight? Asked once, at the end of a story; an alarm that asks again and again must not."""

from __future__ import annotations

from typing import Final

from scipy.special import bdtr, bdtrc

from canary.routing_table import BASIS_POINTS

_THREE_SIGMA: Final = 0.00135  # each tail of a normal distribution beyond three standard deviations


def share_fits(hits: int, total: int, weight_bp: int) -> bool:
    """Whether `hits` of `total` lie within three standard deviations of the weight, by exact binomial tails.

    With a weight of 0 or 100 % a single contradiction does not fit. Without data everything fits.
    """
    w = weight_bp / BASIS_POINTS
    at_most, at_least = bdtr(hits, total, w), bdtrc(hits - 1, total, w)
    return total == 0 or bool(min(at_most, at_least) >= _THREE_SIGMA)
