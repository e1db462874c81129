"""A volume becomes the network's input, as its InputSpec says: turn, resample, cut or pad, scale.

Platform code, the same for every version; nothing here knows a model. The volume may be a read-only view into
shared memory: it is copied once and never written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import UndecodablePixels, UnsupportedSeries
from imaging.series import Plane, SeriesRule
from imaging.volume import Geometry, Volume
from models.placement import Placement, closest_axes, place
from models.resample import resize
from models.spec import Channel, InputSpec, Layout, Scaling

PERCENTILE_VOXELS = 2**22  # percentiles of more voxels than these are taken from an even sample


@dataclass(frozen=True, slots=True)
class Prepared:
    """The input of one study: `tensor` float32, its items first, in the shape of the spec's Layout.

    `placement` maps the spatial axes back; `slices` says which slice of the source lies at the centre of each
    item, None for padding.
    """

    tensor: Tensor
    placement: Placement
    slices: tuple[int | None, ...]


def prepare(volume: Volume, spec: InputSpec) -> Prepared:
    """Make the input. Raises UnsupportedSeries, BrokenGeometry or UndecodablePixels, before any forward."""
    slices, rows, columns = volume.voxels.shape[:3]
    check_readable(volume, spec)
    placement = place((slices, rows, columns), volume.geometry, spec)
    intensities = np.moveaxis(volume.voxels, -1, 0) if volume.is_colour else [volume.voxels]
    images = [_placed(_brightness_up(voxels, volume.inverted), placement, spec) for voxels in intensities]
    images *= len(spec.channels) // len(images)  # all channels are of the one intensity, or each has its own
    scaled = [_scaled(*image, channel) for image, channel in zip(images, spec.channels, strict=True)]
    channels = torch.stack(scaled)
    return Prepared(_laid_out(channels, spec.layout), placement, _item_slices(placement, spec.layout))


def check_readable(volume: Volume, spec: InputSpec) -> None:
    """A last look before the forward; choosing the series has said the same in more words."""
    rule, count = spec.series, len(volume.voxels)
    if volume.modality not in rule.modalities:
        raise UnsupportedSeries("the series is of another modality than the model reads")
    if volume.is_colour != rule.colour:
        raise UnsupportedSeries(
            "the series is in colour" if volume.is_colour else "the series is not in colour"
        )
    if spec.layout is Layout.IMAGE and count != 1:
        raise UnsupportedSeries(f"the model reads one image, and the series has {count}")
    if not rule.min_slices <= count <= rule.max_slices:
        raise UnsupportedSeries(f"{count} slices; the model reads {rule.min_slices} to {rule.max_slices}")
    _check_plane(volume.geometry, rule)


def _check_plane(geometry: Geometry, rule: SeriesRule) -> None:
    if rule.plane is not Plane.ANY and plane_of(geometry) is not rule.plane:
        raise UnsupportedSeries(f"the model reads {rule.plane} slices, and these are {plane_of(geometry)}")


def plane_of(geometry: Geometry) -> Plane:
    """The body plane closest to the slices."""
    ((axial, _), (coronal, _), _) = closest_axes(geometry, "SAR")
    return Plane.AXIAL if axial == 0 else Plane.CORONAL if coronal == 0 else Plane.SAGITTAL


def _brightness_up(values: npt.NDArray[Any], inverted: bool) -> npt.NDArray[np.float32]:
    """A float32 copy in which more is brighter: MONOCHROME1 is mirrored within its own range."""
    voxels = np.array(values, dtype=np.float32, order="C")
    if not np.isfinite(voxels).all():
        raise UndecodablePixels("the pixels hold values that are not numbers")
    if inverted:
        np.subtract(voxels.min() + voxels.max(), voxels, out=voxels)
    return voxels


def _placed(voxels: npt.NDArray[np.float32], placement: Placement, spec: InputSpec) -> tuple[Tensor, Tensor]:
    """The image on the grid of the input, cut and padded, and as it was before."""
    turned = torch.from_numpy(_turned(voxels, placement))
    first, second, third = (axis.resampled_size for axis in placement)
    resampled = resize(turned, (first, second, third), spec.interpolation)
    return _fitted(resampled, placement, spec.pad_value), resampled


def _turned(voxels: npt.NDArray[np.float32], placement: Placement) -> npt.NDArray[np.float32]:
    turned = voxels.transpose([axis.source for axis in placement])
    flipped = tuple(index for index, axis in enumerate(placement) if axis.flipped)
    if turned.flags.c_contiguous and not flipped:
        return turned
    return np.flip(turned, flipped).copy()  # torch takes no negative stride


def _fitted(volume: Tensor, placement: Placement, pad_value: float) -> Tensor:
    """Cut and pad; F.pad takes the last axis first, and cuts where its numbers are negative."""
    pads = [
        n for axis in reversed(placement) for n in (axis.start, axis.size - axis.start - axis.resampled_size)
    ]
    return F.pad(volume, pads, value=pad_value) if any(pads) else volume


def _scaled(padded: Tensor, resampled: Tensor, channel: Channel) -> Tensor:
    if channel.scaling is Scaling.NONE:
        return padded
    low, high = channel.low, channel.high
    if channel.scaling is Scaling.PERCENTILE:
        low, high = percentiles(resampled, channel.low, channel.high)
    if not high > low:
        return torch.zeros_like(padded)  # an image of one brightness
    return ((padded - low) / (high - low)).clamp_(0, 1)


def percentiles(volume: Tensor, low: float, high: float) -> tuple[float, float]:
    """Two percentiles of the image itself, without its padding."""
    flat = volume.reshape(-1)
    sample = flat[:: -(-flat.numel() // PERCENTILE_VOXELS)].numpy()
    bounds = np.percentile(sample, (low, high))
    return float(bounds[0]), float(bounds[1])


def _laid_out(channels: Tensor, layout: Layout) -> Tensor:
    """`(channels, slices, rows, columns)` in the order of the layout."""
    if layout is Layout.VOLUME:
        return channels[None]
    return channels.transpose(0, 1).contiguous()


def _item_slices(placement: Placement, layout: Layout) -> tuple[int | None, ...]:
    if layout is Layout.VOLUME:
        return (None,)
    return tuple(placement[0].source_index(index) for index in range(placement[0].size))
