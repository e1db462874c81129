"""A few numbers that say what a volume looks like, for watching drift: of thousands of voxels, in a few milliseconds.

They are taken of some planes, and never fail: what cannot be told of a volume is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from imaging.volume import Volume

Floats = npt.NDArray[np.float32]
Numbers = tuple[tuple[str, float], ...]
PLANES: Final = 8
LARGEST_SIDE: Final = 192  # of the middle of a plane, in which noise is measured
NOISE_PLANES: Final = 2
COARSE: Final = 64  # rows and columns of a plane of which shares and percentiles are taken
AIR_HU, SOFT_HU, BONE_HU = -300.0, (-100.0, 150.0), 200.0
_MAD_TO_SIGMA: Final = 1.4826
_LAPLACIAN_NORM: Final = math.sqrt(20.0)  # of white noise of deviation 1 through 4, -1, -1, -1, -1


def pixel_statistics(volume: Volume) -> Numbers:
    """Names with finite numbers, to six digits.

    Of a CT, whose unit is absolute, in HU: `hu_mean`, `hu_p50`, `hu_p99`, `noise_hu`, and the shares of air, soft
    tissue and bone. Of every volume, in shares of the range from the 1st to the 99th percentile: `relative_mean`,
    `relative_median`, `relative_noise` and `sharpness`, the mean step between neighbours.
    """
    with np.errstate(all="ignore"):
        planes = _planes(volume)
        if planes is None:
            return ()
        found = _relative(planes)
        if volume.modality == "CT":
            found = {**found, **_hounsfield(planes)}
    return tuple((name, float(f"{value:.6g}")) for name, value in found.items() if math.isfinite(value))


def _planes(volume: Volume) -> Floats | None:
    """Some planes of the middle of the series, (planes, rows, columns); of a colour image its green."""
    voxels = volume.voxels[..., 1] if volume.is_colour else volume.voxels
    if voxels.ndim != 3 or not voxels.size:
        return None
    slices = np.unique(np.linspace(0, len(voxels) - 1, min(PLANES, len(voxels))).astype(int))
    return np.asarray(voxels[slices], np.float32)


def _coarse(planes: Floats) -> Floats:
    rows, columns = (max(1, size // COARSE) for size in planes.shape[1:])
    values = planes[:, ::rows, ::columns].ravel()
    return values[np.isfinite(values)]


def _relative(planes: Floats) -> Mapping[str, float]:
    values = _coarse(planes)
    if values.size < 2:
        return {}
    low, middle, high = (float(one) for one in np.percentile(values, (1, 50, 99)))
    span = high - low
    if span <= 0:
        return {}
    step = np.abs(np.diff(_middle(planes), axis=2))
    return {
        "relative_mean": (float(values.mean()) - low) / span,
        "relative_median": (middle - low) / span,
        "relative_noise": _noise(planes, middle, math.inf) / span,
        "sharpness": float(step.mean()) / span if step.size else math.nan,
    }


def _hounsfield(planes: Floats) -> Mapping[str, float]:
    values = _coarse(planes)
    if not values.size:
        return {}
    middle, high = (float(one) for one in np.percentile(values, (50, 99)))
    return {
        "hu_mean": float(values.mean()),
        "hu_p50": middle,
        "hu_p99": high,
        "noise_hu": _noise(planes, *SOFT_HU),
        "air_share": float((values < AIR_HU).mean()),
        "soft_share": float(((values >= SOFT_HU[0]) & (values <= SOFT_HU[1])).mean()),
        "bone_share": float((values > BONE_HU).mean()),
    }


def _middle(planes: Floats) -> Floats:
    """The middle of the middle planes at full resolution: neighbours stay neighbours."""
    first = (len(planes) - min(NOISE_PLANES, len(planes))) // 2
    rows, columns = ((size - min(size, LARGEST_SIDE)) // 2 for size in planes.shape[1:])
    return planes[first : first + NOISE_PLANES, rows : rows + LARGEST_SIDE, columns : columns + LARGEST_SIDE]


def _noise(planes: Floats, low: float, high: float) -> float:
    """The deviation of white noise, by the median absolute Laplacian where values lie from `low` to `high`."""
    middle = _middle(planes)
    if min(middle.shape[1:]) < 3:
        return math.nan
    inner = middle[:, 1:-1, 1:-1]
    around = middle[:, :-2, 1:-1] + middle[:, 2:, 1:-1] + middle[:, 1:-1, :-2] + middle[:, 1:-1, 2:]
    laplacian = (4.0 * inner - around)[(inner >= low) & (inner <= high)]
    if not laplacian.size:
        return math.nan
    return float(np.median(np.abs(laplacian))) * _MAD_TO_SIGMA / _LAPLACIAN_NORM
