"""What a model's own scores let expect of its performance, without any truth (CBPE).

It holds as far as a score of 0.3 still means 30 in a hundred. After a real drift that is just what may have broken:
on dated chest films the estimate was worse than to assume that nothing had changed for one finding of three. So it
asks for labels and never stands for a performance, and `Honesty` says where it has been worse than nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A score signal, the first of its bins that counts as positive, and what a score in each bin means.

    `probability`: the share of studies with the finding, by bin of a number (without `missing`), as a calibration on
    audited studies found it; None where nobody has calibrated. Raises ValueError for what is no probability.
    """

    signal: str
    first_positive_bin: int
    probability: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.first_positive_bin < 1:
            raise ValueError("the lowest bin is not positive")
        if self.probability is not None and not all(0.0 <= p <= 1.0 for p in self.probability):
            raise ValueError("a probability lies within 0..1")


@dataclass(frozen=True, slots=True)
class Expected:
    """At the operating point; None where no study tells it, or nobody has calibrated."""

    positive_rate: float | None
    sensitivity: float | None = None
    ppv: float | None = None


@dataclass(frozen=True, slots=True)
class AuditedPeriod:
    """One period: what was expected of it, and what the audit then found."""

    expected: float
    found: float


@dataclass(frozen=True, slots=True)
class Honesty:
    """Mean absolute error of the expectation, and of assuming that nothing changed, over the audited periods."""

    periods: int
    error: float
    error_of_no_change: float

    @property
    def is_trusted(self) -> bool:
        """Whether it may ask for labels: four audited periods or more, and better than nothing in the mean."""
        return self.periods >= 4 and self.error < self.error_of_no_change


def expected_of(point: OperatingPoint, counts: npt.NDArray[np.integer]) -> Expected:
    """From the score's counts by bin, `missing` the last. Raises ValueError where bins and probabilities differ."""
    scored = counts[:-1]
    if not scored.sum():
        return Expected(None)
    positive = np.arange(len(scored)) >= point.first_positive_bin
    rate = float(scored[positive].sum() / scored.sum())
    if point.probability is None:
        return Expected(rate)
    if len(point.probability) != len(scored):
        raise ValueError("each bin of the score has one probability")
    ill = scored * np.asarray(point.probability)
    found = float(ill[positive].sum())
    sensitivity = found / float(ill.sum()) if ill.sum() > 0 else None
    ppv = found / float(scored[positive].sum()) if scored[positive].sum() else None
    return Expected(rate, sensitivity, ppv)


def honesty_of(before: float, periods: Iterable[AuditedPeriod]) -> Honesty:
    """`before` is what the audit of the reference found."""
    known = tuple(periods)
    if not known:
        return Honesty(0, 0.0, 0.0)
    found = np.array([period.found for period in known])
    expected = np.array([period.expected for period in known])
    return Honesty(len(known), float(np.abs(expected - found).mean()), float(np.abs(before - found).mean()))
