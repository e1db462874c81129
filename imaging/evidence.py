"""What a report must know of its source: one header without pixels, as bytes fit to travel."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import StudyError
from imaging.source_texts import make_true
from imaging.told_as import told_as

_CURVES: Final = range(0x5000, 0x5020, 2)
_OVERLAYS: Final = range(0x6000, 0x6020, 2)
_HUGE: Final = 2**20  # bytes of a value that no report repeats
_BULK_GROUPS: Final = frozenset({0x7FE0, 0xFFFA, 0xFFFC, *_CURVES, *_OVERLAYS})  # signatures and padding too


def encode_evidence(dataset: Dataset) -> bytes:
    """The dataset as a Part 10 file, without pixels, overlays, private and huge elements. Raises StudyError.

    Its texts are of the character set that it declares, also where those of the dataset are not.
    """
    # iterating a Dataset would decode every element: take them raw, by tag
    tags = [tag for tag in dataset.keys() if _is_evidence(tag)]  # noqa: SIM118
    kept = Dataset({tag: item for tag in tags if not _is_huge(item := dataset.get_item(tag))})
    implicit, little_endian = dataset.original_encoding
    kept.set_original_encoding(implicit, little_endian, dataset.original_character_set)
    buffer = BytesIO()
    with told_as(StudyError("an image's header cannot be written as DICOM")):
        kept.file_meta = _file_meta(dataset)
        make_true(kept)
        pydicom.dcmwrite(buffer, kept, enforce_file_format=True)
        buffer.seek(0)
        for _ in pydicom.dcmread(
            buffer
        ).iterall():  # each value is decoded, so that none surprises who makes a report
            pass
    return buffer.getvalue()


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return meta


def _is_huge(element: DataElement | RawDataElement) -> bool:
    value = element.value
    return isinstance(value, bytes | str) and len(value) > _HUGE


def _is_evidence(tag: BaseTag) -> bool:
    return tag.group not in _BULK_GROUPS and not tag.is_private
