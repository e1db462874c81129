"""One received Part 10 object -> a pydicom Dataset.

Most CT and MR arrives as Explicit VR Little Endian whose header holds no sequence of undefined length. Such a
header is walked here directly, in about half of pydicom's time; every other object goes to pydicom. Values
stay raw until somebody asks for them, as in `dcmread`. A deflated object is inflated here, up to a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from struct import Struct
from typing import BinaryIO, Final

import pydicom.filereader
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.errors import StudyError
from imaging.inflate import inflate_image, inflate_start
from imaging.told_as import told_as

NAMES: Final = ("SOPClassUID", "SOPInstanceUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID")

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
_NAME_TAGS: Final = tuple(Tag(name) for name in NAMES)
_LAST_NAME: Final = 0x0020000E
_HEAD: Final = 2**16  # bytes of a file, which hold the names as a rule
_NAMES_WITHIN: Final = 2**20  # bytes of a deflated object, which hold them always
_NOT_EXPLICIT: Final = frozenset({ImplicitVRLittleEndian, ExplicitVRBigEndian})
_Elements = dict[BaseTag, DataElement | RawDataElement]
_TAGS: dict[int, BaseTag] = {}  # a BaseTag costs a microsecond to make; a study has few distinct ones


class _NotPlainError(Exception):
    """The object needs pydicom's reader. Never leaves this file."""


Inflate = Callable[[memoryview], bytes]


def parse_instance(part: bytes | memoryview, inflate: Inflate = inflate_image) -> Dataset:
    """Parse a Part 10 object. Raises StudyError, without a tag value, when it is not DICOM.

    Native pixels are not copied: PixelData is then a memoryview of `part`, or of what a deflated object inflates to,
    which `stored_pixels` can read. `inflate` makes that, and raises PixelsTooLarge when it is too much.
    """
    with told_as(StudyError("an object of the study is not readable DICOM")):
        return _parse_any(memoryview(part), inflate)


def names_of(stream: BinaryIO) -> Dataset:
    """Only the elements that say whose an object is: those of `NAMES`, as far as it has them. Raises StudyError.

    Reads no more than it needs, and inflates little of a deflated object.
    """
    with told_as(StudyError("an object is not readable DICOM")):
        try:
            return _plain_names(stream)
        except _NotPlainError:
            stream.seek(0)
            _refuse_hidden_deflate(memoryview(stream.read(_HEAD)), stream)
            stream.seek(0)
            return pydicom.filereader.read_partial(stream, _is_behind_names, specific_tags=[*_NAME_TAGS])


def _plain_names(stream: BinaryIO) -> Dataset:
    part = memoryview(stream.read(_HEAD))
    meta, start = _file_meta(part)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        part, start = (
            memoryview(inflate_start(bytes(part[start:]) + stream.read(_NAMES_WITHIN), _NAMES_WITHIN)),
            0,
        )
    elif syntax in _NOT_EXPLICIT:
        raise _NotPlainError
    elements, _ = _walk(part, start, meta=False, last=_LAST_NAME)
    return Dataset({tag: elements[tag] for tag in _NAME_TAGS if tag in elements})


def _is_behind_names(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) > _LAST_NAME


def _parse_any(part: memoryview, inflate: Inflate) -> Dataset:
    try:
        return _parse_plain(part, inflate)
    except _NotPlainError:
        _refuse_hidden_deflate(part)
        return _whole(pydicom.dcmread(BytesIO(part)))


def _whole(dataset: Dataset) -> Dataset:
    if _is_cut(dataset):
        raise StudyError("an object ends within a value")
    return dataset


def _is_cut(dataset: Dataset) -> bool:
    """Whether a value is shorter than its length says; of pixels, `stored_pixels` tells that.

    pydicom raises here for an empty element of no known kind, and not when somebody asks for it.
    """
    elements = [dataset.get_item(tag) for tag in dataset.keys()]  # noqa: SIM118
    return any(
        isinstance(element, RawDataElement)
        and element.tag != _PIXEL_DATA
        and element.length != _UNDEFINED
        and len(element.value or b"") < element.length
        for element in elements
    )


def _parse_plain(part: memoryview, inflate: Inflate) -> Dataset:
    meta, start = _file_meta(part)
    syntax = meta.get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        dataset = _inflated(memoryview(inflate(part[start:])))
    elif syntax == ExplicitVRLittleEndian:
        dataset = _explicit(part, start)
    else:
        raise _NotPlainError
    dataset.file_meta = meta
    return dataset


def _file_meta(part: memoryview) -> tuple[FileMetaDataset, int]:
    """The file meta information (PS3.10 7.1), and where the dataset begins."""
    if bytes(part[128:132]) != b"DICM":
        raise _NotPlainError
    elements, start = _walk(part, 132, meta=True)
    return FileMetaDataset(elements), start


def _explicit(part: memoryview, start: int) -> Dataset:
    elements, _ = _walk(part, start, meta=False)
    dataset = Dataset(elements)
    dataset.set_original_encoding(False, True, _encodings(elements))
    return dataset


def _inflated(part: memoryview) -> Dataset:
    """pydicom would inflate without a limit, so that it gets only what was inflated."""
    try:
        return _explicit(part, 0)
    except _NotPlainError:
        dataset = pydicom.filereader.read_dataset(BytesIO(part), False, True)
        dataset.set_original_encoding(False, True, dataset._character_set)
        return _whole(dataset)


def _refuse_hidden_deflate(part: memoryview, rest: BinaryIO | None = None) -> None:
    """Keep from pydicom whatever it could take for a deflated object. Raises StudyError."""
    try:
        meta, _ = _file_meta(part)
    except _NotPlainError:
        whole = bytes(part) + (rest.read() if rest else b"")
        is_deflated = DeflatedExplicitVRLittleEndian.encode() in whole
    else:
        is_deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if is_deflated:
        raise StudyError("an object's file meta information is damaged")


def _encodings(elements: _Elements) -> str | list[str]:
    """As pydicom names them: what it names otherwise, it decodes and encodes again when it writes the dataset."""
    charset = elements.get(_CHARACTER_SET)
    if not isinstance(charset, RawDataElement) or not charset.value:
        return default_encoding
    return convert_encodings(convert_raw_data_element(charset).value)


def _walk(part: memoryview, at: int, *, meta: bool, last: int = _UNDEFINED) -> tuple[_Elements, int]:
    """Raw elements from offset `at` to the end of the file meta group or of the object, and where that is.

    Elements behind tag `last` are left out.
    """
    elements: _Elements = {}
    end = len(part)
    while at < end:
        if end - at < 8:
            raise _NotPlainError
        group, element, vr_bytes, length = _SHORT.unpack_from(part, at)
        number = group << 16 | element
        if number > last or (meta and group != _META_GROUP):
            break
        vr = _SHORT_VRS.get(vr_bytes)
        value_at = at + 8
        if vr is None:
            vr, length, value_at = _long_form(part, at, vr_bytes)
        at = value_at + length
        if at > end:
            raise _NotPlainError
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
