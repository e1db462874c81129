"""A stack of slices in some thirty numbers: of what it consists, how large and how smooth it is, which way it faces.

The body is what is brighter than air; the same measures serve HU and an MR's relative brightness, with other bounds.
Shares are logarithms to base 10, sizes natural logarithms: a tenth more is the same step for a child and a giant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from models.input_check.sampling import Sample

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
LEAST_SHARE: Final = 2e-3
DARK_PERCENTILE, BRIGHT_PERCENTILE = 1.0, 99.5
COARSE: Final = 8  # percentiles are taken of every eighth value


@dataclass(frozen=True, slots=True)
class Measure:
    """One number. `plausible` is how far it may differ between two patients whatever the reference set shows: a set
    of few people says too little of that.
    """

    name: str
    value: float
    plausible: float


@dataclass(frozen=True, slots=True)
class Tissues:
    """Named ranges of brightness above `body_from`. What is brighter than `frame_from` is the frame, a skull or the
    body itself, in which places are counted; `soft` is what lies in it. Smoothness is measured from `low` to `high`.
    """

    bounds: tuple[float, ...]
    names: tuple[str, ...]
    body_from: float
    frame_from: float
    soft: tuple[float, float]
    low: float
    high: float


HOUNSFIELD: Final = Tissues(
    bounds=(-300.0, -25.0, 18.0, 70.0, 200.0),
    names=("fat", "fluid", "soft tissue", "dense tissue", "bone"),
    body_from=-300.0,
    frame_from=200.0,
    soft=(10.0, 90.0),
    low=-300.0,
    high=300.0,
)
RELATIVE: Final = Tissues(
    bounds=(0.15, 0.3, 0.45, 0.6, 0.75),
    names=("dark", "dim", "middling", "light", "bright tissue"),
    body_from=0.15,
    frame_from=0.15,
    soft=(0.35, 0.75),
    low=0.0,
    high=1.0,
)


def hounsfield_measures(sample: Sample) -> list[Measure]:
    """Of a CT, whose unit is absolute: a lost rescale or a brain MR is not even the right kind of dark."""
    soft = sample.values[(sample.values > -25) & (sample.values < 100)][::COARSE]
    quarter, middle, three = np.percentile(soft, (25, 50, 75)) if soft.size else (0.0, 0.0, 0.0)
    return [
        *_measures(sample, HOUNSFIELD),
        Measure("median of soft tissue", float(middle), 8.0),
        Measure("spread of soft tissue", float(three - quarter), 8.0),
        Measure(
            "air around", _log_share(int(np.count_nonzero(sample.values < -800)), sample.values.size), 0.35
        ),
    ]


def relative_measures(sample: Sample) -> list[Measure]:
    """Of an MR, whose unit is arbitrary: 0 is its first percentile, 1 nearly its brightest."""
    dark, bright = np.percentile(sample.values.ravel()[::COARSE], (DARK_PERCENTILE, BRIGHT_PERCENTILE))
    if not bright > dark:
        return _measures(Sample(np.zeros_like(sample.values), sample.step_mm), RELATIVE)
    relative = (sample.values - np.float32(dark)) / np.float32(bright - dark)
    return _measures(Sample(relative, sample.step_mm), RELATIVE)


def _measures(sample: Sample, tissues: Tissues) -> list[Measure]:
    body = sample.values > tissues.body_from
    clipped = np.clip(sample.values, tissues.low, tissues.high)
    return [
        *_shares(sample.values, body, tissues),
        *_sizes(body, sample.step_mm),
        *_smoothness(clipped),
        *_shape(sample.values, body, tissues, sample.step_mm),
        Measure("likeness of left and right", _mirrored_correlation(clipped, body), 0.12),
    ]


def _shares(values: Floats, body: Mask, tissues: Tissues) -> Iterator[Measure]:
    total = int(body.sum())
    edges = (*tissues.bounds, np.inf)
    above = [int(np.count_nonzero(values > edge)) for edge in edges]
    for name, count in zip(tissues.names, (more - fewer for more, fewer in pairwise(above)), strict=True):
        yield Measure(f"share of {name}", _log_share(count, total), 0.2)
    yield Measure("enclosed air", _log_share(_enclosed(body), total), 0.3)
    yield Measure("share of the image that is body", _log_share(total, body.size), 0.15)


def _log_share(count: int, total: int) -> float:
    return float(np.log10(count / max(total, 1) + LEAST_SHARE))


def _enclosed(body: Mask) -> int:
    """Voxels that are no body, with body to their left and right in the same row: sinuses, lungs."""
    return int(np.count_nonzero(_between(body) & ~body))


def _between(mask: Mask) -> Mask:
    """Where the mask lies, or lies to the left and to the right."""
    columns = np.arange(mask.shape[2])
    first = mask.argmax(2)[..., None]
    last = mask.shape[2] - 1 - mask[:, :, ::-1].argmax(2)[..., None]
    return np.asarray((columns >= first) & (columns <= last) & np.asarray(mask.any(2))[..., None])


def _sizes(body: Mask, step_mm: tuple[float, float, float]) -> Iterator[Measure]:
    up, back, left = step_mm
    area = body.sum((1, 2)) * back * left
    wide, deep = body.any(1).sum(1) * left, body.any(2).sum(1) * back
    yield Measure("extent along the slices", float(np.log(len(body) * up)), 0.3)
    yield Measure("width of the body", _log_size(wide), 0.08)
    yield Measure("depth of the body", _log_size(deep), 0.08)
    yield Measure("area of the body", _log_size(area), 0.12)


def _log_size(per_slice: npt.NDArray[np.floating]) -> float:
    """Of the largest slices; of nothing it is that of 1 mm."""
    return float(np.log(max(float(np.percentile(per_slice, 90)), 1.0)))


def _smoothness(values: Floats) -> Iterator[Measure]:
    """Correlation with the neighbour some mm away: 0 for noise, and for a constant, which has none."""
    centred = values - values.mean()
    variance = float(np.mean(np.square(centred)))
    yield Measure("contrast", float(np.log(variance + 1e-4)), 0.3)
    for axis, name in enumerate(("up", "back", "left")):
        one, other = centred.swapaxes(0, axis)[1:], centred.swapaxes(0, axis)[:-1]
        shared = float(np.vdot(one, other)) / max(one.size, 1)
        yield Measure(f"smoothness {name}", shared / variance if variance > 0 else 0.0, 0.06)


def _shape(
    values: Floats, body: Mask, tissues: Tissues, step_mm: tuple[float, float, float]
) -> Iterator[Measure]:
    """Where things lie within the frame, and how it is drawn out: a head is not turned around, nor upside down."""
    up, back, left = step_mm
    frame = values > tissues.frame_from
    soft = _between(frame) & (values > tissues.soft[0]) & (values < tissues.soft[1])
    side, soft_side, body_side = _side_view(frame), _side_view(soft), _side_view(body)
    height, depth = _moments(side.sum(1)), _moments(side.sum(0))
    width = _moments(frame.sum((0, 1)))
    yield Measure("width for its depth", float(np.log(width.spread * left / (depth.spread * back))), 0.05)
    yield Measure("height for its depth", float(np.log(height.spread * up / (depth.spread * back))), 0.15)
    third = max(1, len(body) // 3)
    for name, part in (
        ("lower", slice(None, third)),
        ("middle", slice(third, -third)),
        ("upper", slice(-third, None)),
    ):
        around = _moments(side[part].sum(0))
        yield Measure(f"frame drawn to the front, {name} third", around.skewness, 0.06)
        offset = (_moments(soft_side[part].sum(0)).centre - around.centre) / around.spread
        yield Measure(f"soft tissue to the back, {name} third", offset, 0.06)
    yield Measure("frame drawn downwards", height.skewness, 0.1)
    yield Measure(
        "soft tissue upwards", (_moments(soft_side.sum(1)).centre - height.centre) / height.spread, 0.1
    )
    whole = _moments(body_side.sum(1))
    yield Measure("body drawn downwards", whole.skewness, 0.06)
    yield Measure("frame above the body's middle", (height.centre - whole.centre) / whole.spread, 0.08)
    quarter = max(1, len(body) // 4)
    top, bottom = (int(end.sum()) for end in (body_side[-quarter:], body_side[:quarter]))
    yield Measure("body at the top end", float(np.log((top + 1) / (bottom + 1))), 0.3)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of a profile, in voxels; that of nothing is in the middle, and 1 wide."""

    centre: float
    spread: float
    skewness: float


def _side_view(mask: Mask) -> npt.NDArray[np.integer]:
    """How many voxels of each row: `(up, back)`."""
    return np.asarray(mask.sum(2, dtype=np.int32))


def _moments(counts: npt.NDArray[np.integer]) -> _Moments:
    profile = counts.astype(np.float64)
    total = float(profile.sum())
    if total == 0:
        return _Moments(len(profile) / 2, 1.0, 0.0)
    away = np.arange(len(profile)) + 0.5
    centre = float(profile @ away) / total
    away -= centre
    spread = max(float(np.sqrt(profile @ away**2 / total)), 0.29)  # that of a single voxel
    return _Moments(centre, spread, float(profile @ (away / spread) ** 3) / total)


def _mirrored_correlation(values: Floats, body: Mask) -> float:
    """Correlation of the volume with its mirror image about the body's own middle."""
    columns = values.shape[2]
    middle = _moments(body.sum((0, 1))).centre - 0.5
    sum_of_both = round(2 * middle)  # of a column's index and that of the one that mirrors it
    first, last = max(0, sum_of_both - columns + 1), min(columns - 1, sum_of_both)
    one = values[:, :, first : last + 1]
    other = one[:, :, ::-1]  # the mirrored range is the range itself
    if not one.size:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt(np.vdot(one, one) * np.vdot(other, other)))
    return float(np.vdot(one, other)) / norm if norm > 0 else 0.0
