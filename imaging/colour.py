"""Images in colour: which kinds are read, and what a palette's numbers stand for (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from core.errors import UndecodablePixels
from imaging.told_as import told_as

PALETTE: Final = "PALETTE COLOR"
HALVED: Final = "YBR_FULL_422"  # two pixels in a row share their colour
COLOURS: Final = frozenset({PALETTE, "RGB", "YBR_FULL", HALVED, "YBR_ICT", "YBR_RCT"})
"""The photometric interpretations that become red, green and blue."""

_DEEP: Final = 16


def palette_colours(dataset: Dataset, stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Red, green and blue `(rows, columns, 3)`, from 0 to 255, for the numbers of a palette.

    Raises UndecodablePixels.
    """
    with told_as(UndecodablePixels("the palette of an image cannot be applied")):
        colours = np.asarray(apply_color_lut(stored, dataset))[..., :3]
        if colours.dtype.itemsize * 8 == _DEEP:
            colours = colours >> (_DEEP - 8)
        return colours.astype(np.uint8)
