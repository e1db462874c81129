"""A segmentation back on the source's own grid, and how large it is there."""

from __future__ import annotations

from math import isfinite, prod

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_fill_holes, find_objects, label  # type: ignore[attr-defined]

from core.errors import BrokenGeometry
from imaging.finding import Code, Measurement
from imaging.volume import Geometry
from models.placement import Axis, Placement
from models.resample import resize
from models.spec import Interpolation, MaskCleanup

MILLILITER = Code("ml", "UCUM", "milliliter")

Mask = npt.NDArray[np.bool_]


def mask_on_source(
    probability: npt.NDArray[np.float32], placement: Placement, threshold: float, interpolation: Interpolation
) -> Mask:
    """`probability` on the input's grid becomes a mask `(slices, rows, columns)` of the source's shape."""
    first, second, third = (axis.source_size for axis in placement)
    resampled = torch.from_numpy(_unpadded(probability, placement))
    on_source = resize(resampled, (first, second, third), interpolation).numpy() >= threshold
    flipped = tuple(index for index, axis in enumerate(placement) if axis.flipped)
    order = np.argsort([axis.source for axis in placement])
    return np.ascontiguousarray(np.flip(on_source, flipped).transpose(order))


def _unpadded(probability: npt.NDArray[np.float32], placement: Placement) -> npt.NDArray[np.float32]:
    """What lies on the image; what had been cut off it is not part of the segment."""
    whole = np.zeros([axis.resampled_size for axis in placement], np.float32)
    on_input, on_image = zip(*(_overlap(axis) for axis in placement), strict=True)
    whole[on_image] = probability[on_input]
    return whole


def _overlap(axis: Axis) -> tuple[slice, slice]:
    """The voxels that the input and the resampled image share, as a slice of each."""
    low, high = max(0, axis.start), min(axis.size, axis.start + axis.resampled_size)
    return slice(low, high), slice(low - axis.start, high - axis.start)


def clean(mask: Mask, how: MaskCleanup) -> Mask:
    """Apply the version's clean-up to the mask. An empty mask stays empty."""
    if how is MaskCleanup.NONE or not mask.any():
        return mask
    cleaned = np.zeros_like(mask)
    box = find_objects(mask.astype(np.uint8))[0]
    labels, _ = label(mask[box])
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    cleaned[box] = binary_fill_holes(largest)
    return cleaned


def volume_of(mask: Mask, geometry: Geometry, concept: Code, site: Code) -> Measurement:
    """The mask's volume in ml. Raises BrokenGeometry when the series states no spacing."""
    if not all(isfinite(mm) and mm > 0 for mm in geometry.spacing_mm):
        raise BrokenGeometry("the series states no usable spacing, so a volume cannot be measured")
    volume_ml = int(mask.sum()) * prod(geometry.spacing_mm) / 1000
    return Measurement(concept, volume_ml, MILLILITER, site)
