"""What a report must know of its source: one header without pixels, as bytes fit to travel."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import StudyError
from imaging.source_texts import make_true

_CURVES: Final = range(0x5000, 0x5020, 2)
_OVERLAYS: Final = range(0x6000, 0x6020, 2)
_BULK_GROUPS: Final = frozenset({0x7FE0, 0xFFFA, 0xFFFC, *_CURVES, *_OVERLAYS})  # signatures and padding too


def encode_evidence(dataset: Dataset) -> bytes:
    """The dataset as a Part 10 file, without pixels, overlays and private elements. Raises StudyError.

    Its texts are of the character set that it declares, also where those of the dataset are not.
    """
    # iterating a Dataset would decode every element: take them raw, by tag
    tags = [tag for tag in dataset.keys() if _is_evidence(tag)]  # noqa: SIM118
    kept = Dataset({tag: dataset.get_item(tag) for tag in tags})
    implicit, little_endian = dataset.original_encoding
    kept.set_original_encoding(implicit, little_endian, dataset.original_character_set)
    kept.file_meta = _file_meta(dataset)
    buffer = BytesIO()
    try:
        make_true(kept)
        pydicom.dcmwrite(buffer, kept, enforce_file_format=True)
    except Exception:  # noqa: BLE001  (pydicom's texts carry tag values)
        raise StudyError("an image's header cannot be written as DICOM") from None
    return buffer.getvalue()


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return meta


def _is_evidence(tag: BaseTag) -> bool:
    return tag.group not in _BULK_GROUPS and not tag.is_private
