"""Do report and model differ more or less often than they used to? A Shiryaev–Roberts e-detector on a rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.bernoulli import odds_log_factors

ODDS_RATIOS: Final = (0.5, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Compared:
    """Studies of one slice of which report and model were compared, and those in which they differ."""

    studies: int
    discordant: int

    def __post_init__(self) -> None:
        if not 0 <= self.discordant <= self.studies:
            raise ValueError("as many studies differ as were compared, at most")


@dataclass(frozen=True, slots=True)
class DiscordanceWatch:
    """`base_rate` is the share that differed in the reference: take the upper end of its interval, for a rate that
    is truly higher than the base is found as a drift. One false alarm in `arl_slices` slices or more, in the mean.
    """

    base_rate: float
    arl_slices: float

    def __post_init__(self) -> None:
        if not 0.0 < self.base_rate < 1.0 or self.arl_slices <= 1:
            raise ValueError("a base rate lies between 0 and 1, and arl_slices exceeds 1")

    def trajectory(self, slices: Iterable[Compared]) -> tuple[float, ...]:
        """log10 of M after each slice: M ← e · (1 + M) for each ratio of odds, and their mean."""
        hit = np.array(odds_log_factors(self.base_rate, ODDS_RATIOS, hit=True))
        miss = np.array(odds_log_factors(self.base_rate, ODDS_RATIOS, hit=False))
        log_m, path = np.full(len(ODDS_RATIOS), -math.inf), []
        for one in slices:
            step = one.discordant * hit + (one.studies - one.discordant) * miss
            log_m = step + np.logaddexp(0.0, log_m)
            mean = float(np.logaddexp.reduce(log_m)) - math.log(len(ODDS_RATIOS))
            path.append(mean / math.log(10.0))
        return tuple(path)

    def alarms_at(self, slices: Iterable[Compared]) -> int | None:
        """The first slice, from 0, after which M has reached its limit."""
        limit = math.log10(self.arl_slices)
        return next((at for at, log10_m in enumerate(self.trajectory(slices)) if log10_m >= limit), None)
