"""Names a result object by its content: one SOP Instance UID never stands for two contents (PS3.5 9).

Every byte of the object but its own names goes into its UIDs. So a retry, which gives the same bytes, gives the same
UID, and whatever changes in the bytes gives another one: a clearance, a rule, a threshold, a patient's name that
was corrected, or a release that writes differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from imaging.uids import derived_uid

UNNAMED: Final = "2.25.0"
"""What the constructors of highdicom get for a UID until the content is known."""
_OWN_NAMES: Final = frozenset(map(Tag, ("SOPInstanceUID", "SeriesInstanceUID")))


def name_by_content(document: Dataset, kind: str) -> None:
    """Give a finished object of Explicit VR Little Endian its SOP Instance UID and a series of its own.

    Its elements become encoded bytes on the way, so that they are not encoded again when it is written. An element
    that is read is decoded as if it had come from a file.
    """
    digest = blake2b(digest_size=32)
    for element, encoded in _encoded_elements(document):
        digest.update(encoded)
        document[element.tag] = element
    charset = document.get("SpecificCharacterSet")
    document.set_original_encoding(False, True, convert_encodings(charset) if charset else default_encoding)
    content = digest.hexdigest()
    document.SOPInstanceUID = derived_uid(kind, content)
    document.SeriesInstanceUID = derived_uid(f"{kind} series", content)
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID


def _encoded_elements(document: Dataset) -> Iterator[tuple[RawDataElement, bytes]]:
    """Each element that says something, with the bytes that a file would hold of it."""
    charset = document.get("SpecificCharacterSet") or default_encoding
    for tag in sorted(document.keys()):
        if tag not in _OWN_NAMES:
            yield encoded_element(document, tag, charset)


def encoded_element(
    document: Dataset, tag: BaseTag, charset: str | list[str]
) -> tuple[RawDataElement, bytes]:
    """The element with its value encoded, and the bytes that a file would hold of it."""
    element = document.get_item(tag)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_data_element(buffer, element, charset)
    encoded = buffer.getvalue()
    value = encoded[12 if element.VR in EXPLICIT_VR_LENGTH_32 else 8 :]
    return RawDataElement(tag, element.VR, len(value), value, 0, False, True), encoded
