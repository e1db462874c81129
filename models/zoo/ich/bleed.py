"""A simulated fresh bleed: a blob inside the brain, or a crescent along the inner table of the skull."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.zoo.ich.fields import Image, Mask, grid_mm, smooth_field


class BleedKind(StrEnum):
    NONE = "none"
    INTRA_AXIAL = "intra-axial"
    RIM = "rim"  # extra-axial, along the skull, as a subdural bleed lies


@dataclass(frozen=True, slots=True)
class Bleed:
    """One bleed in head coordinates (mm, z towards the vertex).

    Intra-axial: an ellipsoid of radii `extent_mm` (z, y, x) round `centre_mm`, roughened by `border`.
    Rim: at most `extent_mm[1]` thick, `half_angle_rad` to both sides of `angle_rad`, `extent_mm[0]` up and
    down.
    """

    kind: BleedKind
    centre_mm: tuple[float, float, float]
    extent_mm: tuple[float, float, float]
    density_hu: float
    border: Image
    angle_rad: float = 0.0
    half_angle_rad: float = 0.0

    def at(self, z_mm: float, depth_mm: Image) -> Mask:
        """Where the bleed is at height `z_mm`; `depth_mm` is each pixel's distance inside the inner table."""
        along_z = (z_mm - self.centre_mm[0]) / self.extent_mm[0]
        if abs(along_z) >= 1:
            return np.zeros_like(depth_mm, dtype=bool)
        inside = self._crescent(along_z, depth_mm) if self.kind is BleedKind.RIM else self._blob(along_z)
        return inside & (depth_mm > 0)

    def _blob(self, along_z: float) -> Mask:
        rows, columns = grid_mm()
        (_, y, x), (_, ry, rx) = self.centre_mm, self.extent_mm
        radius = np.sqrt(((rows - y) / ry) ** 2 + ((columns - x) / rx) ** 2 + along_z**2)
        roughened: Mask = radius + 0.15 * self.border < 1
        return roughened

    def _crescent(self, along_z: float, depth_mm: Image) -> Mask:
        rows, columns = grid_mm()
        (_, y, x) = self.centre_mm
        turn = (
            np.angle(np.exp(1j * (np.arctan2(rows - y, columns - x) - self.angle_rad))) / self.half_angle_rad
        )
        profile = np.sqrt(np.clip(1 - turn**2, 0, None) * (1 - along_z**2))
        crescent: Mask = depth_mm < self.extent_mm[1] * profile
        return crescent


def draw_bleed(
    rng: np.random.Generator, kind: BleedKind, z_mm: float, depth_mm: Image, tissue_hu: float
) -> Bleed:
    """BucketDraw a bleed that crosses the slice at `z_mm`, whose cavity is where `depth_mm` is positive."""
    density = float(tissue_hu + rng.uniform(12, 36))
    border = smooth_field(rng, 8)
    if kind is BleedKind.RIM:
        up = rng.uniform(14, 36)
        centre = (z_mm + up * rng.uniform(-0.6, 0.6), *_middle(depth_mm > 0))
        extent = (up, rng.uniform(3.5, 9), 0.0)
        return Bleed(
            kind, centre, extent, density, border, rng.uniform(-np.pi, np.pi), rng.uniform(0.35, 0.9)
        )
    radius = rng.uniform(4, 14)
    extent = (radius * rng.uniform(0.7, 1.3), radius, radius * rng.uniform(0.6, 1.4))
    y, x = _point(rng, depth_mm, at_least_mm=8)
    return Bleed(kind, (z_mm + extent[0] * rng.uniform(-0.6, 0.6), y, x), extent, density, border)


def _middle(cavity: Mask) -> tuple[float, float]:
    rows, columns = grid_mm()
    return float(rows[cavity].mean()), float(columns[cavity].mean())


def _point(rng: np.random.Generator, depth_mm: Image, at_least_mm: float) -> tuple[float, float]:
    """A random pixel at least so deep inside the brain (or the deepest one)."""
    rows, columns = np.nonzero(depth_mm > min(at_least_mm, float(depth_mm.max()) - 1e-3))
    k = rng.integers(len(rows))
    grid_rows, grid_columns = grid_mm()
    return float(grid_rows[rows[k], columns[k]]), float(grid_columns[rows[k], columns[k]])
