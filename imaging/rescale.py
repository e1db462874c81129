"""From stored values to the modality's own unit (PS3.3 C.11.1): HU for CT."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from core.errors import InvalidRescale
from imaging.elements import floats, text

Pixels = npt.NDArray[Any]

RESCALE_TAGS: Final = ("RescaleSlope", "RescaleIntercept", "RescaleType")
"""What `read_rescale` reads: images of one modality that agree on these, and have no table, share their rescaling."""

_INT16: Final = np.iinfo(np.int16)
_MAX_VALUE: Final = 1e30  # far beyond any unit, and still a float32 after slope and intercept
_MAX_STORED: Final = 2.0**32
_HOUNSFIELD: Final = "HU"


@dataclass(frozen=True, slots=True)
class Rescale:
    """value = stored x slope + intercept. A Modality LUT in their place has been applied when they are 1 and 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def fits_int16(self, plane: Pixels) -> bool:
        """Whether nothing is lost when the rescaled plane becomes int16."""
        slope, intercept = self.slope, self.intercept
        if plane.dtype.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
            return False
        if (slope, intercept) == (1.0, 0.0) and np.can_cast(plane.dtype, np.int16):
            return True
        ends = (float(plane.min()) * slope + intercept, float(plane.max()) * slope + intercept)
        return bool(_INT16.min <= min(ends) and max(ends) <= _INT16.max)

    def fill(self, target: Any, plane: Pixels) -> None:
        """Write the rescaled plane into `target`: int16 where every plane `fits_int16`, else float32."""
        slope, intercept = self.slope, self.intercept
        if (slope, intercept) == (1.0, 0.0):
            np.copyto(target, plane, casting="unsafe")
        elif target.dtype == np.int16 and slope == 1.0 and plane.dtype.itemsize == 2 and plane.dtype.isnative:
            # modulo 2**16, and still exact: every sum fits, or `fits_int16` had not said so
            np.add(
                plane.view(np.int16), np.array(int(intercept) & 0xFFFF, np.uint16).view(np.int16), out=target
            )
        elif target.dtype == np.int16:
            np.copyto(target, plane.astype(np.int32) * int(slope) + int(intercept), casting="unsafe")
        else:
            np.copyto(target, plane.astype(np.float64) * slope + intercept, casting="unsafe")


def read_rescale(dataset: Dataset) -> Rescale:
    """The rescaling of an image.

    A CT image must have one, in HU (PS3.3 C.8.2.1: slope and intercept are Type 1, and a type is named where it
    is not HU). Raises InvalidRescale, and ValueError where a value is no number.
    """
    is_ct = text(dataset, "Modality") == "CT"
    if "ModalityLUTSequence" in dataset:
        if is_ct and text(dataset.ModalityLUTSequence[0], "ModalityLUTType") != _HOUNSFIELD:
            raise InvalidRescale("a CT image has a Modality LUT that does not lead to HU")
        return Rescale()
    if is_ct and not (floats(dataset, "RescaleSlope") and floats(dataset, "RescaleIntercept")):
        raise InvalidRescale(
            "a CT image has no RescaleSlope or no RescaleIntercept, so its values are not HU"
        )
    if is_ct and text(dataset, "RescaleType") not in ("", _HOUNSFIELD):
        raise InvalidRescale("a CT image says that its values are of another unit than HU")
    slope = next(iter(floats(dataset, "RescaleSlope")), 1.0)
    intercept = next(iter(floats(dataset, "RescaleIntercept")), 0.0)
    if slope == 0 or not (isfinite(slope) and abs(slope) * _MAX_STORED + abs(intercept) < _MAX_VALUE):
        raise InvalidRescale("RescaleSlope is 0, or slope and intercept are no numbers that values can have")
    return Rescale(slope, intercept)
