"""An e-process as a mixture of bets: a few floats that are stored after each update."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LN_10: Final = math.log(10.0)


@dataclass(frozen=True, slots=True)
class Mixture:
    """Evidence against a null hypothesis: `log_e`, one natural log of an e-value per bet, of equal prior weight.

    Each bet multiplies its e-value by a factor whose mean under the null is at most 1. The mean of the e-values
    then reaches 1/alpha with a chance of at most alpha, however often one looks (Ville 1939). The same updates in
    the same order give the same bits.
    """

    log_e: tuple[float, ...]

    @classmethod
    def start(cls, bets: int) -> Mixture:
        return cls((0.0,) * bets)

    @property
    def log10_e(self) -> float:
        return log10_mean(self.log_e)

    def times(self, log_factors: Iterable[float]) -> Mixture:
        """The mixture after one more observation, given the natural log of each bet's factor."""
        return Mixture(tuple(old + step for old, step in zip(self.log_e, log_factors, strict=True)))


def log10_mean(log_e: tuple[float, ...]) -> float:
    """log10 of the mean of e-values that are given as natural logs; the mean of e-values is one."""
    top = max(log_e)
    if math.isinf(top):
        return top
    mean = sum(math.exp(value - top) for value in log_e) / len(log_e)
    return (top + math.log(mean)) / _LN_10


def mean_log10(log10_e: Iterable[float]) -> float:
    """log10 of the mean of e-values that are given as log10."""
    return log10_mean(tuple(value * _LN_10 for value in log10_e))
