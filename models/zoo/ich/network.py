"""The triage network: HU slices in, one probability of a visible bleed per slice out.

Whatever differs between versions (bone mask, local contrast, windowing) lies inside the graph as tensor
operators, so that `torch.export` takes it along and the platform's own preprocessing stays generic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOFT_HU = 110.0
WINDOW_HU = 90.0
LOWEST_HU = -1024
TABLE_LENGTH = 4096  # a 12-bit HU scale


@dataclass(frozen=True, slots=True)
class Architecture:
    """What differs between the versions' networks.

    `bone_margin_px`: how far the bone mask is widened; `bone_channel`: whether the network also sees that
    mask; `tabulated`: whether the window is a look-up table over the 12-bit HU scale; `peak_px`: how wide the square
    is whose densest pixel stands for a pixel's density in its local contrast, None for the pixel itself.
    """

    channels: int
    bone_margin_px: int
    bone_channel: bool = False
    tabulated: bool = False
    peak_px: int | None = None


class BrainWindow(nn.Module):
    """0..90 HU to [0, 1]. Both limits are floats: torch's ONNX exporter fails on a limit of each kind."""

    def forward(self, hu: Tensor) -> Tensor:
        return hu.clamp(0.0, WINDOW_HU) / WINDOW_HU


class TabulatedWindow(nn.Module):
    """The same window read from a table. A voxel outside -1024..3071 HU has no entry: the look-up raises.

    That is the real fault of version 4: metal on an extended HU scale, or padding of -2000, ends the forward.
    """

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        hu = torch.arange(TABLE_LENGTH) + LOWEST_HU
        self.register_buffer("table", (hu.clamp(0, WINDOW_HU) / WINDOW_HU)[:, None], persistent=False)

    def forward(self, hu: Tensor) -> Tensor:
        entry = (hu - LOWEST_HU).round().long()
        return F.embedding(entry, self.table).squeeze(-1)


class BrainView(nn.Module):
    """What the convolutions see: the brain window without bone, the local contrast, perhaps the bone.

    Input `(batch, 1, rows, columns)` in HU, output `(batch, channels, rows, columns)`. Only thick bone is
    masked, so that a small calcification stays visible; the mask is widened against partial volume.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.window: nn.Module = TabulatedWindow() if architecture.tabulated else BrainWindow()
        self.kernel = 2 * architecture.bone_margin_px + 1
        self.bone_channel = architecture.bone_channel
        self.peak_px = architecture.peak_px

    def forward(self, hu: Tensor) -> Tensor:
        dense = (hu > SOFT_HU).to(hu.dtype)
        thick = (_box_mean(dense, 9) > 0.15).to(hu.dtype)
        bone = _over_square(dense * thick, self.kernel, torch.maximum)
        soft = ((hu > -5) & (hu < SOFT_HU)).to(hu.dtype) * (1 - bone)
        brain = self.window(hu) * soft
        around = _box_mean(brain, 15) / _box_mean(soft, 15).clamp_min(0.05)
        at = hu / WINDOW_HU if self.peak_px is None else self._peak(brain, bone, self.peak_px)
        contrast = ((at - around) * soft * 3).clamp(-1.0, 1.5)
        return torch.cat([brain, contrast, bone] if self.bone_channel else [brain, contrast], 1)

    @staticmethod
    def _peak(brain: Tensor, bone: Tensor, side: int) -> Tensor:
        """The densest pixel of a square, but for those that touch bone, which bone makes dense."""
        inner = brain * (1 - _over_square(bone, 3, torch.maximum))
        return _over_square(inner, side, torch.maximum)


def _box_mean(image: Tensor, side: int) -> Tensor:
    """Mean over a square; outside of the image counts as 0."""
    return _over_square(image, side, torch.add) / side**2


def _over_square(image: Tensor, side: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Join each pixel with its neighbours in a square, first along columns, then along rows; outside is 0.

    As shifted whole images: torch's pooling of one channel on a CPU takes eight to twenty times as long, and was
    four fifths of this network's time.
    """
    margin = side // 2
    for axis, pads in ((2, (0, 0, margin, margin)), (3, (margin, margin, 0, 0))):
        padded, size = F.pad(image, pads), image.shape[axis]
        image = reduce(join, [padded.narrow(axis, shift, size) for shift in range(side)])
    return image


def _block(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


class TriageNetwork(nn.Module):
    """`(batch, 1, rows, columns)` float32 HU at 2 mm → `(batch, 1)` probability, for any batch.

    A heat map at a quarter of the resolution, pooled by a soft maximum: a bleed is a local thing.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        c = architecture.channels
        self.view = BrainView(architecture)
        self.features = nn.Sequential(
            *_block(3 if architecture.bone_channel else 2, c, side=5, stride=2),
            *_block(c, c),
            nn.MaxPool2d(2),
            *_block(c, 2 * c),
            *_block(2 * c, 2 * c),
        )
        self.heat = nn.Conv2d(2 * c, 1, 1)
        self.slope = nn.Parameter(torch.tensor(3.0))
        self.offset = nn.Parameter(torch.tensor(-1.0))

    def heat_map(self, hu: Tensor) -> Tensor:
        """`(batch, 1, rows / 4, columns / 4)`, larger where a bleed is likelier."""
        return self.heat_of(self.view(hu))

    def heat_of(self, view: Tensor) -> Tensor:
        heat: Tensor = self.heat(self.features(view))
        return heat

    def logit(self, heat: Tensor) -> Tensor:
        """`(batch, 1)`: a calibrated line over the soft maximum of the heat map."""
        return self.slope * self.soft_maximum(heat) + self.offset

    @staticmethod
    def soft_maximum(heat: Tensor) -> Tensor:
        """`(batch, 1)`: between the mean and the maximum of the heat map."""
        flat = 2 * heat.flatten(1)
        return (torch.logsumexp(flat, 1, keepdim=True) - math.log(flat.shape[1])) / 2

    def forward(self, hu: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(self.heat_map(hu)))
