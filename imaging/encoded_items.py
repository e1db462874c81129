"""Items of a report as encoded bytes: each code is encoded once per process, and no VR is looked up twice.

pydicom searches a dataset that was made from scratch for elements of ambiguous VR, once for each level of the tree,
and encodes each of some sixty codes anew. A report has no such element and few distinct codes. So its items are
marked as being in the encoding that they will be written in, and their code sequences become encoded bytes, which
pydicom writes as they are. The bytes of the file stay the same, and a code that is read is a dataset as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from struct import Struct
from typing import Final

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

CODE_SEQUENCES: Final = tuple(
    map(Tag, ("ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence"))
)
REFERENCES: Final = Tag("ReferencedSOPSequence")
_REFERENCE: Final = tuple(map(Tag, ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")))
_ITEM: Final = Struct("<HHL")
_UID: Final = Struct("<HH2sH")
_CODE: Final = tuple(map(Tag, ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")))


def encode_codes(document: Dataset) -> None:
    """Prepare a document of our own, made from scratch for Explicit VR Little Endian, for being encoded."""
    for item in _items(document):
        for tag in CODE_SEQUENCES:
            _encode_code(item, tag)
        item.set_original_encoding(False, True, default_encoding)


def _items(parent: Dataset) -> Iterator[Dataset]:
    """Every item of a sequence below `parent`, codes excepted."""
    for element in parent.elements():
        if element.VR == "SQ" and element.tag not in CODE_SEQUENCES and isinstance(element, DataElement):
            for item in element.value:
                yield item
                yield from _items(item)


def _encode_code(item: Dataset, tag: BaseTag) -> None:
    element = item.get_item(tag)
    if not isinstance(element, DataElement) or len(element.value) != 1:
        return
    code = element.value[0]
    texts = tuple(_text(code, part) for part in _CODE)
    if len(code) == len(_CODE) and all(texts):
        encoded = _encoded(*texts)
        item[tag] = _raw(tag, "SQ", encoded)


def _text(code: Dataset, tag: BaseTag) -> str:
    """An ASCII value, which is the same bytes in every character set of DICOM; empty for any other."""
    element = code.get_item(tag)
    value = None if element is None else element.value
    return value if isinstance(value, str) and value.isascii() else ""


@lru_cache(maxsize=1024)
def _encoded(value: str, scheme: str, meaning: str) -> bytes:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_sequence(buffer, DataElement(CODE_SEQUENCES[0], "SQ", Sequence([code])), [default_encoding])
    return buffer.getvalue()


def encoded_references(sop_class_uid: str, instance_uids: Iterable[str]) -> RawDataElement:
    """A Referenced SOP Sequence (PS3.3 10.8), encoded: a report has an item for each image of its series."""
    class_uid = _explicit(_REFERENCE[0], even(sop_class_uid.encode()))
    items = (class_uid + _explicit(_REFERENCE[1], even(uid.encode())) for uid in instance_uids)
    return _raw(REFERENCES, "SQ", b"".join(_ITEM.pack(0xFFFE, 0xE000, len(item)) + item for item in items))


def _explicit(tag: BaseTag, uid: bytes) -> bytes:
    return _UID.pack(tag.group, tag.element, b"UI", len(uid)) + uid


def even(value: bytes, padding: bytes = b"\0") -> bytes:
    """A value has an even length (PS3.5 6.2): a UID is padded with a zero, a text with a space."""
    return value + padding if len(value) % 2 else value


def _raw(tag: BaseTag, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(tag, vr, len(value), value, 0, False, True)
