"""Names what a study holds for a version and its report: equal digests, equal readings.

More than `Volume.input_digest`, which is of the pixels alone: a patient's name that was corrected, another age or
another rescale slope under the same UIDs is another input.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from imaging.elements import raw
from imaging.volume import Volume

_OF_EACH_SLICE: Final = tuple(map(Tag, (
    "SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelRepresentation", "BitsStored",
)))  # fmt: skip


def content_digest(images: Sequence[Dataset], volume: Volume) -> str:
    """sha256, in hexadecimal, over a series' stored pixels, its first slice's header, its notes and what differs by
    slice.

    `volume` was made of `images`, whose order does not matter.
    """
    slices = sorted(tuple(map(str, raw(image, _OF_EACH_SLICE))) for image in images)
    whole = sha256(volume.input_digest.encode())
    whole.update(repr((volume.series_uid, volume.geometry, volume.notes, slices)).encode())
    whole.update(volume.evidence)
    return whole.hexdigest()
