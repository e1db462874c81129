"""What a scanner adds: slice thickness, blur, cupping, noise, streaks at metal, the head-rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage

from models.zoo.ich.fields import SIZE, Image, Mask, grid_mm, smooth_field

ndimage: Any = scipy.ndimage  # its names are made at import, where mypy cannot see them

THICK_FROM_MM = 4.0
HIGH_NOISE_HU = 6.0


@dataclass(frozen=True, slots=True)
class Scan:
    """One acquisition. `noise_hu` is the standard deviation at the 2 mm pixel; `cupping_hu` centre to rim."""

    thickness_mm: float
    noise_hu: float
    blur_px: float
    cupping_hu: float
    head_rest_mm: float | None  # radius of the head-rest's arc

    @property
    def thick(self) -> bool:
        return self.thickness_mm >= THICK_FROM_MM

    @property
    def noisy(self) -> bool:
        return self.noise_hu >= HIGH_NOISE_HU

    def heights_mm(self, z_mm: float) -> tuple[float, ...]:
        """The thin cuts whose mean is this slice (partial volume)."""
        if not self.thick:
            return (z_mm,)
        return tuple(z_mm + self.thickness_mm * share for share in (-0.36, -0.12, 0.12, 0.36))


def draw_scan(rng: np.random.Generator, thick: bool) -> Scan:
    thickness = rng.choice((5.0, 6.0)) if thick else rng.choice((1.5, 2.0, 2.5))
    noise = rng.uniform(1.8, 4.5) if thick else rng.uniform(3.8, 9.0)
    rest = rng.uniform(100, 125) if rng.random() < 0.5 else None
    return Scan(float(thickness), noise, rng.uniform(0.35, 0.6), rng.uniform(-3, 5), rest)


def acquire(rng: np.random.Generator, scan: Scan, hu: Image, metal: Mask | None) -> Image:
    """Turn ideal HU into what the console shows; a scan without metal stays inside the 12-bit scale."""
    if scan.head_rest_mm is not None:
        _add_head_rest(hu, scan.head_rest_mm)
    hu = ndimage.gaussian_filter(hu, scan.blur_px)
    rows, columns = grid_mm()
    hu += np.where(hu > -200, scan.cupping_hu * ((rows**2 + columns**2) / 80**2 - 1), 0)
    hu += scan.noise_hu * _noise(rng) + 0.25 * scan.noise_hu * smooth_field(rng, 6)
    if metal is None:
        return np.clip(hu, -1024, 3071).astype(np.float32)
    return np.maximum(hu + _streaks(rng, metal), -1024).astype(np.float32)


def _noise(rng: np.random.Generator) -> Image:
    """Noise with the short correlation of a soft-tissue kernel; unit variance."""
    noise = ndimage.gaussian_filter(
        rng.standard_normal((SIZE, SIZE), dtype=np.float32), rng.uniform(0.3, 0.7)
    )
    normed: Image = noise / noise.std()
    return normed


def _streaks(rng: np.random.Generator, metal: Mask) -> Image:
    """Alternating bright and dark rays from the metal, fading with distance."""
    rows, columns = grid_mm()
    at = np.nonzero(metal)
    dy, dx = rows - rows[at].mean(), columns - columns[at].mean()
    rays = np.cos(rng.integers(5, 12) * np.arctan2(dy, dx) + rng.uniform(0, 6.28))
    streaks: Image = 120 * rays * np.exp(-np.hypot(dy, dx) / 18)
    return streaks


def _add_head_rest(hu: Image, radius_mm: float) -> None:
    rows, columns = grid_mm()
    ring = np.abs(np.hypot(rows, columns) - radius_mm) < 2
    hu[ring & (rows > 20) & (hu < -900)] = 100
