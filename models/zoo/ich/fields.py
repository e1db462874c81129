"""Smooth random fields on the image grid, cheap enough to draw thousands of heads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

SIZE = 128
PIXEL_MM = 2.0


@cache
def grid_mm() -> tuple[Image, Image]:
    """Row and column coordinates in mm from the image centre; row 0 is anterior, as in an axial CT."""
    axis = ((np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM).astype(np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return rows, columns


@cache
def _interpolation(knots: int) -> Image:
    """Matrix `(SIZE, knots)` that spreads knot values by a Gaussian of one knot distance; unit row energy."""
    positions = np.linspace(0.5, knots - 1.5, SIZE, dtype=np.float32)
    weights = np.exp(-0.5 * ((positions[:, None] - np.arange(knots)) / 0.7) ** 2)
    normed: Image = weights / np.sqrt((weights**2).sum(1, keepdims=True))
    return normed.astype(np.float32)


def smooth_field(rng: np.random.Generator, length_mm: float) -> Image:
    """A Gaussian random field of zero mean and unit variance; `length_mm` is its correlation length."""
    knots = int(np.clip(SIZE * PIXEL_MM / length_mm, 2, SIZE)) + 2
    matrix = _interpolation(knots)
    field: Image = matrix @ rng.standard_normal((knots, knots), dtype=np.float32) @ matrix.T
    return field


class Field3D:
    """A random field that also changes along z: two plane fields mixed by a slowly turning phase."""

    __slots__ = ("_cosine", "_length_mm", "_sine")

    def __init__(self, rng: np.random.Generator, length_mm: float) -> None:
        self._cosine = smooth_field(rng, length_mm)
        self._sine = smooth_field(rng, length_mm)
        self._length_mm = length_mm

    def at(self, z_mm: float) -> Image:
        phase = z_mm / self._length_mm
        return np.float32(np.cos(phase)) * self._cosine + np.float32(np.sin(phase)) * self._sine
