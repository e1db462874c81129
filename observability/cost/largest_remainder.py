"""A whole amount, given out by weights so that nothing is lost (Hamilton's method of largest remainders)."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares that sum to `amount`, each within one of its exact value; of equal remainders the first takes the one.

    Raises ValueError for an amount or weights below 0, and where no weight is above 0.
    """
    whole = sum(weights)
    if amount < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError("an amount from 0 goes to weights from 0, of which one is above")
    shares = [amount * weight // whole for weight in weights]
    missing = amount - sum(shares)
    if missing:
        by_remainder = sorted(range(len(weights)), key=lambda one: -(amount * weights[one] % whole))
        for one in by_remainder[:missing]:
            shares[one] += 1
    return shares
