"""Volumes for reference sets: samples as they are packaged, and arrays as if a scanner had made them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imaging.samples.catalogue import SAMPLES
from imaging.volume import Geometry, Volume

Voxels = npt.NDArray[np.floating[Any]]
AXIAL: Final = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
HU_RANGE: Final = (-1024, 3071)


@dataclass(frozen=True, slots=True)
class Stack:
    """An axial image in the modality's unit, `(slices, rows, columns)`: up, to the back, to the left."""

    voxels: Voxels
    spacing_mm: tuple[float, float, float]


def sample_stack(sample: str, cache: Path) -> Stack:
    """A sample with its rescale applied. Raises SampleUnavailable."""
    image = SAMPLES[sample].read(SAMPLES[sample].file.read(cache, lambda _: None))
    slope, intercept = image.rescale
    spacing_mm = image.geometry.spacing_mm if image.geometry else (1.0, 1.0, 1.0)
    return Stack(image.stored.astype(np.float32) * slope + intercept, spacing_mm)


def volume_of(stack: Stack, modality: str = "CT", *, inverted: bool = False) -> Volume:
    """The stack as a reader would give it: whole numbers, and for a CT those of a 12-bit scale."""
    voxels = np.rint(np.clip(stack.voxels, *HU_RANGE) if modality == "CT" else stack.voxels)
    count = len(voxels)
    return Volume(
        voxels=voxels.astype(np.int16) if modality == "CT" else voxels.astype(np.float32),
        geometry=Geometry(stack.spacing_mm, (0.0, 0.0, 0.0), *AXIAL, stack.spacing_mm[0]),
        modality=modality,
        body_part="",
        series_uid="",
        sop_class_uid="",
        instance_uids=("",) * count,
        inverted=inverted,
        evidence=b"",
        input_digest="",
    )


def part_of(rng: np.random.Generator, stack: Stack, least: float = 0.75) -> Stack:
    """A scan that covers a little less, in slices one, two or three of the source's apart (at least 12 of them)."""
    count = len(stack.voxels)
    missing = rng.uniform(0, 1 - least) * count
    below = int(missing * rng.uniform(0, 1))
    step = int(rng.integers(1, max(2, min(4, int(count * least / 12)))))
    up, back, left = stack.spacing_mm
    kept = stack.voxels[below : count - int(missing - below) : step]
    return Stack(kept, (up * step, back, left))


def field_of_view(rng: np.random.Generator, stack: Stack, outside: float, least: float = 0.85) -> Stack:
    """A field of view between `least` and 1.15 times the source's, padded with `outside`."""
    rows, columns = stack.voxels.shape[1:]
    side = rng.uniform(least, 1.15)
    voxels = _centred(
        _centred(stack.voxels, 1, round(rows * side), outside), 2, round(columns * side), outside
    )
    return Stack(voxels, stack.spacing_mm)


def _centred(voxels: Voxels, axis: int, size: int, outside: float) -> Voxels:
    start = (size - voxels.shape[axis]) // 2
    if start < 0:
        return voxels.take(np.arange(-start, -start + size), axis)
    pads = [(0, 0)] * voxels.ndim
    pads[axis] = (start, size - voxels.shape[axis] - start)
    return np.pad(voxels, pads, constant_values=outside)


def resized(stack: Stack, factor: float) -> Stack:
    """A person so many times as large, by the distances of the voxels."""
    up, back, left = (mm * factor for mm in stack.spacing_mm)
    return Stack(stack.voxels, (up, back, left))
