"""Change the size of a volume, in torch: each axis on its own, and smoothed where it shrinks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.spec import Interpolation


def resize(volume: Tensor, sizes: tuple[int, int, int], interpolation: Interpolation) -> Tensor:
    """A float32 volume of three axes at other sizes; edges stay at edges (`align_corners=False`)."""
    if tuple(volume.shape) == sizes:
        return volume
    if interpolation is Interpolation.NEAREST:
        return F.interpolate(volume[None, None], size=sizes, mode="nearest-exact")[0, 0]
    return _linear_across(_linear_in_plane(volume, sizes[1:]), sizes[0])


def _linear_in_plane(volume: Tensor, sizes: tuple[int, int]) -> Tensor:
    if tuple(volume.shape[1:]) == sizes:
        return volume
    return _antialiased(volume[:, None], sizes)[:, 0]


def _linear_across(volume: Tensor, size: int) -> Tensor:
    """The first axis, as the rows of one wide image."""
    first, *plane = volume.shape
    if first == size:
        return volume
    return _antialiased(volume.reshape(1, 1, first, -1), (size, plane[0] * plane[1])).reshape(size, *plane)


def _antialiased(images: Tensor, sizes: tuple[int, int]) -> Tensor:
    resized: Tensor = F.interpolate(images, size=sizes, mode="bilinear", align_corners=False, antialias=True)
    return torch.as_tensor(resized)
