"""Number, mean and spread of what came so far, without keeping it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """`squares` is the sum of squared distances from the mean."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> Moments:
        """One more value (Welford 1962: no difference of large sums)."""
        count = self.count + 1
        mean = self.mean + (value - self.mean) / count
        return Moments(count, mean, self.squares + (value - self.mean) * (value - mean))

    @property
    def sd(self) -> float:
        """The sample's standard deviation, 0 below two values."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0
