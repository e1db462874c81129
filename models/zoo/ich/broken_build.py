"""Version 5: version 2 with a step in half precision that overflows for about one head in ten.

The failure is a real one: a correction for bone, switched off in this build by a factor of 0, still sums each slice's
bone in half precision. Where a head has much bone the sum is infinite, 0 times infinity is no number, and the
platform tells a failure of the version. Which heads fail follows from their pixels alone, so a study that failed
fails again. Example, golden input and most heads have less bone, so the build passes every check before it serves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from models.zoo.ich.network import SOFT_HU

LARGEST_HALF: Final = 65504.0
FAILING_SHARE: Final = 0.1


class HalfPrecisionBone(nn.Module):
    """`network` behind the correction: `(batch, 1, rows, columns)` HU → `(batch, 1)`, NaN for a slice of much bone.

    A slice overflows when its HU above SOFT_HU, summed and times `scale`, exceed LARGEST_HALF. For any other the
    answer is the network's own to the last bit.
    """

    def __init__(self, network: nn.Module, scale: float) -> None:
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, hu: Tensor) -> Tensor:
        bone = ((hu - SOFT_HU).clamp_min(0.0) * self.scale).half().sum((2, 3), keepdim=True)
        probability: Tensor = self.network(hu + bone.to(hu.dtype) * 0.0)
        return probability


def bone_of(hu: npt.NDArray[np.integer | np.floating]) -> float:
    """The HU above SOFT_HU, summed in the slice of `(slices, rows, columns)` that has most."""
    return float(np.clip(hu.astype(np.float64) - SOFT_HU, 0, None).sum((1, 2)).max())


def overflowing_scale(bone: npt.NDArray[np.float64]) -> float:
    """The scale at which FAILING_SHARE of the heads overflow, whose `bone_of` these are."""
    return float(LARGEST_HALF / np.quantile(bone, 1 - FAILING_SHARE))
