"""One received Part 10 object -> a pydicom Dataset.

Most CT and MR arrives as Explicit VR Little Endian whose header holds no sequence of undefined length. Such a
header is walked here directly, in about half of pydicom's time; every other object goes to pydicom. Values
stay raw until somebody asks for them, as in `dcmread`.
"""

from __future__ import annotations

from io import BytesIO
from struct import Struct
from typing import Final

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import StudyError

_SHORT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<I")
_LONG_VRS: Final = {
    vr: vr.decode()
    for vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
}
_SHORT_NAMES: Final = "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US"
_SHORT_VRS: Final = {vr.encode(): vr for vr in _SHORT_NAMES.split()}
_CHARACTER_SET: Final = BaseTag(0x00080005)
_PIXEL_DATA: Final = 0x7FE00010
_META_GROUP: Final = 0x0002
_UNDEFINED: Final = 0xFFFFFFFF
_Elements = dict[BaseTag, DataElement | RawDataElement]
_TAGS: dict[int, BaseTag] = {}  # a BaseTag costs a microsecond to make; a study has few distinct ones


class _NotPlainError(Exception):
    """The object needs pydicom's reader. Never leaves this file."""


def parse_instance(part: bytes | memoryview) -> Dataset:
    """Parse a Part 10 object. Raises StudyError, without a tag value, when it is not DICOM.

    Native pixels are not copied: PixelData is then a memoryview of `part`, which `stored_pixels` can read.
    """
    try:
        return _parse_any(memoryview(part))
    except Exception:  # noqa: BLE001  (readers raise what they like on damaged input, with tag values in it)
        raise StudyError("an object of the study is not readable DICOM") from None


def _parse_any(part: memoryview) -> Dataset:
    try:
        return _parse_plain(part)
    except _NotPlainError:
        return pydicom.dcmread(BytesIO(part))


def _parse_plain(part: memoryview) -> Dataset:
    if bytes(part[128:132]) != b"DICM":
        raise _NotPlainError
    meta_elements, start = _walk(part, 132, meta=True)
    meta = FileMetaDataset(meta_elements)
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        raise _NotPlainError
    elements, _ = _walk(part, start, meta=False)
    dataset = Dataset(elements)
    dataset.set_original_encoding(False, True, _encodings(elements))
    dataset.file_meta = meta
    return dataset


def _encodings(elements: _Elements) -> str | list[str]:
    """As pydicom names them: what it names otherwise, it decodes and encodes again when it writes the dataset."""
    charset = elements.get(_CHARACTER_SET)
    if not isinstance(charset, RawDataElement) or not charset.value:
        return default_encoding
    return convert_encodings(convert_raw_data_element(charset).value)


def _walk(part: memoryview, at: int, *, meta: bool) -> tuple[_Elements, int]:
    """Raw elements from offset `at` to the end of the file meta group or of the object, and where that is."""
    elements: _Elements = {}
    end = len(part)
    while at < end:
        if end - at < 8:
            raise _NotPlainError
        group, element, vr_bytes, length = _SHORT.unpack_from(part, at)
        if meta and group != _META_GROUP:
            break
        vr = _SHORT_VRS.get(vr_bytes)
        value_at = at + 8
        if vr is None:
            vr, length, value_at = _long_form(part, at, vr_bytes)
        at = value_at + length
        if at > end:
            raise _NotPlainError
        number = group << 16 | element
        tag = _tag(number)
        value = part[value_at:at]
        raw_value = value if number == _PIXEL_DATA else bytes(value)
        # typed as bytes in pydicom, which only passes it on; a copy of it would cost as much as its transfer
        elements[tag] = RawDataElement(tag, vr, length, raw_value, value_at, False, True)  # type: ignore[arg-type]
    return elements, at


def _long_form(part: memoryview, at: int, vr_bytes: bytes) -> tuple[str, int, int]:
    vr = _LONG_VRS.get(vr_bytes)
    if vr is None or len(part) < at + 12:
        raise _NotPlainError
    (length,) = _LONG.unpack_from(part, at + 8)
    if length == _UNDEFINED:
        raise _NotPlainError
    return vr, length, at + 12


def _tag(number: int) -> BaseTag:
    tag = _TAGS.get(number)
    if tag is None:
        tag = BaseTag(number)
        if len(_TAGS) < 4096:
            _TAGS[number] = tag
    return tag
