"""Where the voxels of a network's input lie on the source's grid, axis by axis: the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import isfinite

import numpy as np

from core.errors import BrokenGeometry, UnsupportedSeries
from imaging.volume import Geometry
from models.spec import Fit, InputSpec

MAX_VOXELS = 2**29  # 2 GiB of float32: no sound spec asks for more

# LPS components of "towards this letter" (PS3.3 C.7.6.1.1.1)
_TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the network's input: `source_size` voxels of axis `source`, turned around when `flipped`,
    resampled to `resampled_size`, of which the first lies at index `start` of `size` (negative: cut off)."""

    source: int
    flipped: bool
    source_size: int
    resampled_size: int
    start: int
    size: int

    def to_source(self, edge: float) -> float:
        """A position in the source for one in the input, both in voxels from the first voxel's outer edge."""
        along = (edge - self.start) * self.source_size / self.resampled_size
        return self.source_size - along if self.flipped else along

    def source_index(self, index: int) -> int | None:
        """The source's voxel at the centre of an input voxel; None in the padding."""
        position = self.to_source(index + 0.5)
        return int(position) if 0 <= position < self.source_size else None


Placement = tuple[Axis, Axis, Axis]


def place(shape: tuple[int, int, int], geometry: Geometry, spec: InputSpec) -> Placement:
    """How a volume `(slices, rows, columns)` becomes the input. Raises BrokenGeometry, UnsupportedSeries."""
    order = closest_axes(geometry, spec.axes) if spec.axes else ((0, False), (1, False), (2, False))
    sizes = [shape[source] for source, _ in order]
    resampled = _resampled_sizes(sizes, [geometry.spacing_mm[source] for source, _ in order], spec)
    if np.prod(resampled, dtype=float) > MAX_VOXELS:
        raise UnsupportedSeries(f"at the model's spacing the series would have {np.prod(resampled)} voxels")
    first, second, third = (
        _axis(order[i], sizes[i], resampled[i], spec.size[i] if spec.size else 0) for i in range(3)
    )
    return first, second, third


def closest_axes(geometry: Geometry, letters: str) -> tuple[tuple[int, bool], ...]:
    """For each letter the source's axis closest to it, and whether that axis runs the other way."""
    directions = _directions(geometry)
    targets = [_TOWARDS[letter] for letter in letters]

    def agreement(order: tuple[int, ...]) -> float:
        return sum(abs(float(directions[axis, part])) for axis, (part, _) in zip(order, targets, strict=True))

    best = max(permutations(range(3)), key=agreement)
    return tuple(
        (axis, bool(directions[axis, part] * sign < 0))
        for axis, (part, sign) in zip(best, targets, strict=True)
    )


def _directions(geometry: Geometry) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """LPS directions of increasing slice, row and column index, `(3, 3)`."""
    row, column = np.array(geometry.row_cosine), np.array(geometry.column_cosine)
    return np.stack([np.cross(row, column), column, row])


def _axis(order: tuple[int, bool], source_size: int, resampled: int, size: int) -> Axis:
    size = size or resampled
    return Axis(order[0], order[1], source_size, resampled, (size - resampled) // 2, size)


def _resampled_sizes(sizes: list[int], spacing_mm: list[float], spec: InputSpec) -> list[int]:
    if spec.fit is Fit.STRETCH and spec.size is not None:
        return [wanted or n for n, wanted in zip(sizes, spec.size, strict=True)]
    if spec.fit is Fit.CONTAIN and spec.size is not None:
        factor = min((wanted / n for n, wanted in zip(sizes, spec.size, strict=True) if wanted), default=1.0)
        return [
            max(1, round(n * factor)) if wanted else n for n, wanted in zip(sizes, spec.size, strict=True)
        ]
    target_mm = spec.spacing_mm or (0.0, 0.0, 0.0)
    return [_at_spacing(n, mm, wanted) for n, mm, wanted in zip(sizes, spacing_mm, target_mm, strict=True)]


def _at_spacing(size: int, spacing_mm: float, target_mm: float) -> int:
    if target_mm == 0:
        return size
    if not (isfinite(spacing_mm) and spacing_mm > 0):
        raise BrokenGeometry("the series states no usable spacing, and the model needs one")
    return max(1, round(size * spacing_mm / target_mm))
