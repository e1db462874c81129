"""Are these slices one regular stack? Sort them along their normal; else say exactly why not, in mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from core.errors import BrokenGeometry, ImplausibleGeometry

Floats = npt.NDArray[np.float64]

_COSINE_TOLERANCE: Final = 1e-3
_SAME_POSITION_MM: Final = 1e-3
_ROUNDING_MM: Final = 0.01  # positions are decimal strings that scanners round
_FARTHEST_MM: Final = 10_000.0  # of a slice from the origin; a table travels two metres
_LARGEST_MM: Final = 3_000.0  # of a stack along each axis; a patient is shorter
_FINEST_MM: Final = 0.001  # between pixels
_SHEAR_LIMIT: Final = 0.02  # drift in the plane per mm along the normal: a tilt of 1.1 degrees


@dataclass(frozen=True, slots=True)
class Stack:
    """`order` sorts the slices along the normal; `spacing_mm` is the median distance, None for one slice."""

    order: tuple[int, ...]
    spacing_mm: float | None


def check_plausible(
    positions: Floats, pixel_spacing_mm: tuple[float, float], size: tuple[int, int] | None
) -> None:
    """Raise ImplausibleGeometry for what no scanner of patients makes.

    `size` is (rows, columns), None where the pixel spacing is only assumed. Positions `(n, 3)` in mm.
    """
    if float(np.abs(positions).max()) > _FARTHEST_MM:
        raise ImplausibleGeometry("a slice lies more than 10 m from the scanner's origin")
    if size is None:
        return
    spans_mm = (*np.ptp(positions, axis=0), size[0] * pixel_spacing_mm[0], size[1] * pixel_spacing_mm[1])
    if max(spans_mm) > _LARGEST_MM or min(pixel_spacing_mm) < _FINEST_MM:
        raise ImplausibleGeometry("the images are larger than any patient, or finer than any scanner")


def check_orientations(orientations: Floats) -> tuple[Floats, Floats]:
    """Row and column cosines of slices `(n, 6)` that all agree. Raises BrokenGeometry."""
    first = orientations[0]
    row, column = first[:3], first[3:]
    errors = (abs(row @ row - 1), abs(column @ column - 1), abs(row @ column))
    if not np.isfinite(first).all() or max(errors) > 10 * _COSINE_TOLERANCE:
        raise BrokenGeometry("the orientation's cosines are not orthogonal unit vectors")
    deviation = float(np.abs(orientations - first).max())
    if not deviation <= _COSINE_TOLERANCE:
        raise BrokenGeometry(f"slices have different orientations: cosines differ by up to {deviation:.3f}")
    return row, column


def stack_slices(positions: Floats, normal: Floats, max_gap_ratio: float) -> Stack:
    """Order positions `(n, 3)` in mm along the normal. Raises BrokenGeometry: duplicate, gap or shear.

    >>> stack_slices(np.array([[0, 0, 5.0], [0, 0, 0.0], [0, 0, 2.5]]), np.array([0, 0, 1.0]), 0.02)
    Stack(order=(1, 2, 0), spacing_mm=2.5)
    """
    if not np.isfinite(positions).all():
        raise ImplausibleGeometry("a slice position is not a number")
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    if len(order) == 1:
        return Stack((0,), None)
    steps = np.diff(along[order])
    _check_duplicates(steps)
    spacing_mm = float(np.median(steps))
    _check_gaps(steps, spacing_mm, max_gap_ratio)
    _check_shear(positions[order], along[order], normal)
    return Stack(tuple(int(index) for index in order), spacing_mm)


def _check_duplicates(steps: Floats) -> None:
    duplicates = int((steps < _SAME_POSITION_MM).sum())
    if duplicates:
        raise BrokenGeometry(f"{duplicates} of {len(steps) + 1} slices lie at the position of another slice")


def _check_gaps(steps: Floats, spacing_mm: float, max_gap_ratio: float) -> None:
    deviations = np.abs(steps - spacing_mm)
    worst = int(deviations.argmax())
    allowed_mm = max(max_gap_ratio * spacing_mm, _ROUNDING_MM)
    if deviations[worst] > allowed_mm:
        where = f"between slices {worst + 1} and {worst + 2} of {len(steps) + 1}"
        raise BrokenGeometry(
            f"slice distance of {steps[worst]:.2f} mm {where}, where {spacing_mm:.2f} mm "
            f"(within {allowed_mm:.2f} mm) is the rule"
        )


def _check_shear(positions: Floats, along: Floats, normal: Floats) -> None:
    extent_mm = float(along[-1] - along[0])
    offsets = positions - positions[0] - np.outer(along - along[0], normal)
    drift_mm = float(np.linalg.norm(offsets, axis=1).max())
    if drift_mm > max(_SHEAR_LIMIT * extent_mm, 0.1):
        degrees = float(np.degrees(np.arctan2(drift_mm, extent_mm)))
        raise BrokenGeometry(
            f"slices shift by {drift_mm:.1f} mm within their plane over {extent_mm:.1f} mm "
            f"(a gantry tilt of {degrees:.1f} degrees)"
        )
