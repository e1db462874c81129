"""Genuine T1 weighted head MRs by the number: two real heads, in many scans."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import scipy.ndimage

from models.zoo.references.studies import Stack, field_of_view, part_of, resized

ndimage: Any = scipy.ndimage  # its names are made at import, where mypy cannot see them

COARSE: Final = 2  # every second voxel: the check looks no closer


def coarse(stack: Stack) -> Stack:
    up, back, left = (mm * COARSE for mm in stack.spacing_mm)
    return Stack(stack.voxels[::COARSE, ::COARSE, ::COARSE], (up, back, left))


def brain(head: Stack, seed: int) -> Stack:
    """The person in another scan: turned, of another size, coverage, coil, contrast and noise."""
    rng = np.random.default_rng((seed, 23))
    voxels = ndimage.rotate(head.voxels, float(rng.normal(0, 4)), (2, 1), reshape=False, order=1)
    voxels = ndimage.rotate(voxels, float(rng.normal(0, 4)), (0, 1), reshape=False, order=1)
    bright = max(float(np.percentile(voxels, 99.5)), 1e-6)
    relative = np.clip(voxels / bright, 0, 1.4) ** rng.uniform(0.8, 1.25) * _coil(rng, voxels.shape)
    relative = np.abs(relative + rng.normal(0, rng.uniform(0, 0.03), voxels.shape))
    stack = Stack((rng.uniform(200, 3000) * relative).astype(np.float32), head.spacing_mm)
    stack = resized(part_of(rng, stack, least=0.9), float(rng.uniform(0.93, 1.07)))
    return field_of_view(rng, stack, 0.0, least=0.98)  # a scan of the brain does not cut it


def _coil(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A receive field that is up to 20 % brighter to one side."""
    fields = [1 + rng.normal(0, 0.07) * np.linspace(-1, 1, size) for size in shape]
    return fields[0][:, None, None] * fields[1][:, None] * fields[2]
