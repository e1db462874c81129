"""A single study unlike those of the reference, by how rare its bins are together.

A drift of the mixture, as one film in twenty that comes inverted, moves no mean. The flag is itself a signal: more
flags than the stated rate is drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from observability.drift.dispersion import PRIOR
from observability.drift.signals import SignalGroup, SignalSpec, Value

OUTLIER = SignalSpec("outlier", SignalGroup.OUTCOME, categories=("no", "yes"))


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """A study is flagged when its surprise exceeds `limit_nats`.

    A new study that is exchangeable with the `studies` by which the limit was set is flagged with a chance of at most
    `rate` (split conformal: Vovk et al. 2005, section 4.2). `limit_nats` is infinite where they are too few for that.
    """

    signals: tuple[SignalSpec, ...]
    log_shares: tuple[tuple[float, ...], ...]
    limit_nats: float
    rate: float
    studies: int

    def surprise(self, values: Mapping[str, Value]) -> float:
        """-Σ ln(share of the study's bin) in nats, as if signals were independent; what is rare together only is
        found as far as the limit was set by the same sum."""
        rows = zip(self.signals, self.log_shares, strict=True)
        return -sum(shares[signal.bin_of(values.get(signal.name))] for signal, shares in rows)

    def is_outlier(self, values: Mapping[str, Value]) -> bool:
        return self.surprise(values) > self.limit_nats


def outlier_rule(
    signals: Sequence[SignalSpec],
    counts: Mapping[str, npt.NDArray[np.integer]],
    held_out: Sequence[Mapping[str, Value]],
    rate: float,
) -> OutlierRule:
    """Shares from the reference's counts by bin, the limit from studies that are not among them."""
    if not 0.0 < rate < 1.0:
        raise ValueError("a rate lies between 0 and 1")
    shares = tuple(_log_shares(counts[signal.name]) for signal in signals)
    rule = OutlierRule(tuple(signals), shares, math.inf, rate, len(held_out))
    surprises = sorted(rule.surprise(values) for values in held_out)
    place = math.ceil((len(surprises) + 1) * (1.0 - rate))
    limit = surprises[place - 1] if place <= len(surprises) else math.inf
    return OutlierRule(rule.signals, shares, limit, rate, len(held_out))


def _log_shares(counts: npt.NDArray[np.integer]) -> tuple[float, ...]:
    shares = (counts + PRIOR) / (counts.sum() + PRIOR * len(counts))
    return tuple(float(value) for value in np.log(shares))
