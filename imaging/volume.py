"""A series as one array with its geometry: sorted by position, in the modality's own unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where voxels lie in the patient (LPS, mm; PS3.3 C.7.6.2.1.1).

    `spacing_mm` is (between slices, between rows, between columns); `origin_mm` the centre of voxel 0, 0, 0;
    `row_cosine` points along a row (increasing column), `column_cosine` along a column (increasing row).
    """

    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    row_cosine: tuple[float, float, float]
    column_cosine: tuple[float, float, float]
    slice_thickness_mm: float | None


class ImageName(NamedTuple):
    """An image that a report may point at; `frame` is its number in a multi-frame object, from 1, else None."""

    instance_uid: str
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels `(slices, rows, columns)` after the Modality LUT (HU for CT), slices sorted along their normal.

    Of images in colour they are red, green and blue from 0 to 255, `(slices, rows, columns, 3)`.
    `instance_uids` are the SOP Instance UIDs in slice order; where slices are frames of multi-frame objects, the
    UIDs repeat, and `frame_numbers` tell the frames apart. `evidence` is one DICOM dataset without pixels,
    encoded as a Part 10 file: the patient, study, equipment and series modules a report must repeat. It holds
    patient data: never log it. `input_digest` is a sha256 over UIDs and BLAKE3 digests of
    stored pixels, in slice order.
    `notes` are what a reader of the result must know of the input, in plain words without patient data.
    """

    voxels: npt.NDArray[np.int16] | npt.NDArray[np.float32]
    geometry: Geometry
    modality: str
    body_part: str
    series_uid: str
    sop_class_uid: str
    instance_uids: tuple[str, ...]
    inverted: bool  # True for MONOCHROME1 input: low values are bright
    evidence: bytes = field(repr=False)
    input_digest: str
    notes: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()

    @property
    def is_colour(self) -> bool:
        return self.voxels.ndim == 4

    def image(self, index: int) -> ImageName:
        """The name of a slice."""
        return ImageName(self.instance_uids[index], self.frame_numbers[index] if self.frame_numbers else None)
