"""A coarse look at a volume, turned to the patient: some 5 × 4 × 4 mm, whatever the scanner's own grid is."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

from imaging.volume import Volume
from models.placement import closest_axes

Floats = npt.NDArray[np.float32]
TOWARDS: Final = "SPL"  # axes run up, to the back and to the left
STEP_MM: Final = (5.0, 4.0, 4.0)
LEAST_MM, LARGEST_MM = 1e-3, 1e3  # what no scanner has is not known
MOST: Final = (48, 96, 96)  # voxels per axis: what bounds the time a large series takes


@dataclass(frozen=True, slots=True)
class Sample:
    """Every so-manieth voxel, `(up, back, left)`, in the modality's unit; distances in mm between those taken."""

    values: Floats
    step_mm: tuple[float, float, float]


def sample_of(volume: Volume) -> Sample:
    """Take voxels as they are, without averaging: noise stays noise. An unknown distance counts as 1 mm."""
    order = closest_axes(volume.geometry, TOWARDS)
    spacing_mm = [_known(volume.geometry.spacing_mm[source]) for source, _ in order]
    turned = volume.voxels.transpose([source for source, _ in order])
    steps = [
        max(1, round(target / mm), ceil(size / most))
        for size, mm, target, most in zip(turned.shape, spacing_mm, STEP_MM, MOST, strict=True)
    ]
    starts = [(size - 1) % step // 2 for size, step in zip(turned.shape, steps, strict=True)]
    taken = turned[tuple(slice(start, None, step) for start, step in zip(starts, steps, strict=True))]
    flips = tuple(index for index, (_, is_flipped) in enumerate(order) if is_flipped)
    up, back, left = (mm * step for mm, step in zip(spacing_mm, steps, strict=True))
    values = np.asarray(taken, np.float32)
    return Sample(np.ascontiguousarray(np.flip(values, flips)), (up, back, left))


def _known(spacing_mm: float) -> float:
    return spacing_mm if LEAST_MM <= spacing_mm <= LARGEST_MM else 1.0
