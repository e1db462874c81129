"""Which of two versions does better on the same studies? Bets on a difference that lies within -1..1.

Above 0 the candidate did better. Of answers that are right or wrong the difference is -1, 0 or 1, and only studies on
which the versions disagree move the evidence of harm: the e-process of McNemar's test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from core.mixture import Mixture

HARM_BETS: Final = (0.3, 0.5, 0.7, 0.9)
NON_INFERIORITY_BETS: Final = (0.1, 0.2, 0.3, 0.5, 0.7, 0.85)


def observe_harm(state: Mixture, difference: float, *, tolerance: float = 0.0) -> Mixture:
    """One study, against "the candidate is on average not worse by more than `tolerance`"."""
    return state.times(harm_log_factors(difference, tolerance=tolerance))


def observe_non_inferiority(state: Mixture, difference: float, *, margin: float) -> Mixture:
    """One study, against "the candidate is on average worse by `margin` or more"."""
    return state.times(non_inferiority_log_factors(difference, margin=margin))


def harm_log_factors(difference: float, *, tolerance: float = 0.0) -> tuple[float, ...]:
    return _log_factors(-(_checked(difference) + tolerance) / (1.0 + tolerance), HARM_BETS)


def non_inferiority_log_factors(difference: float, *, margin: float) -> tuple[float, ...]:
    return _log_factors((_checked(difference) + margin) / (1.0 - margin), NON_INFERIORITY_BETS)


def _log_factors(gain: float, bets: Sequence[float]) -> tuple[float, ...]:
    """A gain of at least -1, on average at most 0 under the null: 1 + bet·gain is a factor of an e-process.

    (Waudby-Smith & Ramdas, JRSS B 2024, section 4.)
    """
    return tuple(math.log1p(bet * gain) for bet in bets)


def _checked(difference: float) -> float:
    if not -1.0 <= difference <= 1.0:
        raise ValueError("a paired difference lies within -1..1")
    return difference
