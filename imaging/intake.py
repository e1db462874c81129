"""From the objects a source holds to the instances of a study: one rule for folder, object store and PACS.

An object that is no readable DICOM harms itself only: it is passed over, and the result's notes count it. If a slice
is missing for it, the geometry rules refuse the series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset

from core.errors import StudyError
from imaging.archive import StudyInstances, group_by_series
from imaging.enhanced import unfolded
from imaging.instance import Inflate, parse_instance

_NO_DIGESTS: Final[Mapping[str, bytes]] = MappingProxyType({})


def read_object(part: bytes | memoryview, inflate: Inflate) -> Dataset | None:
    """The instance, or None for an object that cannot be read. Raises PixelsTooLarge."""
    try:
        return parse_instance(part, inflate)
    except StudyError:
        return None


def to_study(
    objects: Iterable[Dataset | None],
    bytes_received: int,
    *,
    left_out: int = 0,
    pixel_digests: Mapping[str, bytes] = _NO_DIGESTS,
) -> StudyInstances:
    """What could be read, by series, the frames of an enhanced image each as an image of its own.

    None among the `objects`, and `left_out` besides, is counted in the notes.

    Raises StudyError when nothing could be read.
    """
    objects = list(objects)
    readable = [dataset for dataset in objects if dataset is not None]
    left_out += len(objects) - len(readable)
    if not readable:
        raise StudyError(f"nothing of the study can be read: {_counted(left_out)} no readable DICOM of it")
    notes = (f"{_counted(left_out)} no readable DICOM of this study, and left out",) if left_out else ()
    series = {uid: unfolded(images) for uid, images in group_by_series(readable).items()}
    return StudyInstances(series, bytes_received, pixel_digests, notes)


def _counted(count: int) -> str:
    return "1 object is" if count == 1 else f"{count} objects are"
