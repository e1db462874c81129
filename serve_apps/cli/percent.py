"""People say per cent, everything inside says basis points: this is where one becomes the other."""

from __future__ import annotations

BASIS_POINTS_PER_PERCENT = 100


def to_basis_points(percent: float) -> int:
    """Per cent in basis points, rounded to the nearest 0.01 %."""
    return round(percent * BASIS_POINTS_PER_PERCENT)


def in_percent(share_bp: int) -> str:
    return f"{share_bp / BASIS_POINTS_PER_PERCENT:g} %"
