"""A DICOM object as the bytes it is stored as: what was encoded once is sent and written without being read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from core.errors import ReportRefused
from core.uid import is_uid

_NAMES: Final = ["StudyInstanceUID", "SOPInstanceUID"]


def to_part10(dataset: Dataset) -> bytes:
    """The object as a Part 10 file (PS3.10 7); equal objects give equal bytes."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class EncodedInstance:
    """A Part 10 file and the UIDs under which it is filed."""

    study_uid: str = field(repr=False)
    instance_uid: str = field(repr=False)
    content: bytes = field(repr=False)

    @classmethod
    def of(cls, content: bytes) -> EncodedInstance:
        """Read only the UIDs of a Part 10 file. Raises ReportRefused when it is none."""
        try:
            header = pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=_NAMES)
            study_uid, instance_uid = (str(header.get(name, "")) for name in _NAMES)
        except (InvalidDicomError, EOFError, ValueError) as error:
            raise ReportRefused(f"the document is no DICOM object: {type(error).__name__}") from None
        if not (is_uid(study_uid) and is_uid(instance_uid)):
            raise ReportRefused("the document names no study or no instance")
        return cls(study_uid, instance_uid, content)
