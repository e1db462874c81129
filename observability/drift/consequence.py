"""What a drift does to the answers, as far as the scores tell; to know nothing excuses nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from observability.drift.expected import Expected, OperatingPoint, expected_of


@dataclass(frozen=True, slots=True)
class Consequence:
    """Expected changes at the operating point, as differences of shares; None: not known."""

    positive_rate: float | None = None
    sensitivity: float | None = None
    ppv: float | None = None

    @property
    def is_known(self) -> bool:
        """A positive rate alone excuses nothing: as many may be positive, and others."""
        return self.sensitivity is not None and self.ppv is not None

    def may_matter(self, least: float) -> bool:
        """Whether a change of `least` or more is expected, or cannot be excluded."""
        if not self.is_known:
            return True
        changes = (self.positive_rate, self.sensitivity, self.ppv)
        return any(abs(change) >= least for change in changes if change is not None)

    def in_words(self) -> str:
        """A clause for a physician."""
        named = {"sensitivity": self.sensitivity, "PPV": self.ppv, "positive answers": self.positive_rate}
        said = [
            f"{name} {100 * change:+.1f} points".replace("-", "−")
            for name, change in named.items()
            if change is not None
        ]
        if self.is_known:
            return f"expected from the scores alone: {', '.join(said)}"
        told = f" ({', '.join(said)})" if said else ""
        return f"what it does to sensitivity and PPV is not known{told}"


def consequence_of(
    point: OperatingPoint | None, reference: npt.NDArray[np.integer], now: npt.NDArray[np.integer]
) -> Consequence:
    """From the counts of the operating point's score; nothing is known without a point."""
    if point is None:
        return Consequence()
    before, after = expected_of(point, reference), expected_of(point, now)
    return _change(before, after)


def _change(before: Expected, after: Expected) -> Consequence:
    return Consequence(
        _difference(before.positive_rate, after.positive_rate),
        _difference(before.sensitivity, after.sensitivity),
        _difference(before.ppv, after.ppv),
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
