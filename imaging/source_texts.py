"""The texts of a dataset and the character set that it declares for them: what is said is true, and held by the set.

A report keeps the set of its source if that holds all that the report says; else it is written in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, PersonName

from imaging.character_set import UTF8, Terms, holds, is_valid, read, spelt

_TAG: Final = Tag("SpecificCharacterSet")
_TEXTS: Final = frozenset(map(str, CUSTOMIZABLE_CHARSET_VR))
_ONE_TEXT: Final = frozenset({"LT", "ST", "UT"})  # a backslash in them parts nothing (PS3.5 6.2)
_ALWAYS_ASCII: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UR"})


class _Foreign(NamedTuple):
    """A value that is not ASCII: its dataset, and the set in force there."""

    item: Dataset
    tag: BaseTag
    vr: str
    value: Any
    terms: Terms


def declared(dataset: Dataset) -> Terms:
    """What a dataset declares, in the standard's spelling; it may be no set at all."""
    terms = tuple(map(spelt, _as_declared(dataset)))
    return () if terms in (("",), ("ISO_IR 6",)) else terms


def source_text(dataset: Dataset, keyword: str) -> str:
    """A text of a source's header, whatever its bytes are; empty where there is none."""
    element = dataset.get_item(Tag(keyword))
    value = None if element is None else element.value
    if isinstance(value, bytes):
        return read(value, declared(dataset))[0].strip(" \0")
    return "" if value is None else str(value).strip()


def make_true(header: Dataset) -> None:
    """Let a source's header declare the set of its texts, in all its items: its own one if it did not lie."""
    terms = declared(header)
    foreign = [*_foreign(header, terms)]
    if is_valid(terms) and (not foreign or (terms == _as_declared(header) and all(map(_is_true, foreign)))):
        return
    for value in foreign:
        value.item[value.tag] = DataElement(value.tag, value.vr, _true_value(value))
        value.item.pop(_TAG, None)
    _declare(header, UTF8 if foreign else ())


def choose_character_set(document: Dataset, header: Dataset) -> None:
    """Declare what a finished document is to be written in. `header` is its source's, made true."""
    terms = declared(header)
    # what is still encoded is decoded here, while it is known by which set
    said = {text for value in _foreign(document, terms) for text in _texts(value.item[value.tag].value)}
    _declare(document, character_set_for(said, terms))


def is_ascii(dataset: Dataset) -> bool:
    """Whether every text of the dataset and of its items is the same in all of DICOM's character sets."""
    return next(_foreign(dataset, ()), None) is None


def character_set_for(texts: Iterable[str], source: Terms) -> Terms:
    """The set of the source if it holds all the texts, else UTF-8."""
    return source if all(holds(source, text) for text in texts) else UTF8


def _as_declared(dataset: Dataset) -> Terms:
    value = dataset.get("SpecificCharacterSet")
    terms = [value] if isinstance(value, str) else [*(value or ())]
    return tuple(str(term).strip() for term in terms)


def _declare(dataset: Dataset, terms: Terms) -> None:
    if terms:
        dataset.SpecificCharacterSet = terms[0] if len(terms) == 1 else [*terms]
    else:
        dataset.pop(_TAG, None)


def _foreign(dataset: Dataset, terms: Terms) -> Iterator[_Foreign]:
    """Every value that is not ASCII, of the dataset and of the items below."""
    for element in [*dataset.elements()]:
        vr = _vr(element)
        if vr == "SQ":
            for item in dataset[element.tag].value:
                yield from _foreign(item, declared(item) if _TAG in item else terms)
        elif (vr in _TEXTS or vr in _ALWAYS_ASCII) and not _is_ascii(element.value):
            yield _Foreign(dataset, element.tag, vr, element.value, terms)


def _vr(element: DataElement | RawDataElement) -> str:
    """Implicit VR has none, and UN none that helps."""
    if element.VR and element.VR != "UN":
        return str(element.VR)
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return "UN"


def _is_ascii(value: object) -> bool:
    if isinstance(value, bytes):
        return value.isascii() and b"\x1b" not in value  # Japanese is written in seven bits
    if isinstance(value, str):
        return value.isascii()
    return all(text.isascii() for text in _texts(value))


def _texts(value: object) -> Iterator[str]:
    """The texts of a decoded value; numbers are none."""
    if isinstance(value, str | PersonName):
        yield str(value)
    elif isinstance(value, MultiValue | list | tuple):
        for one in value:
            yield from _texts(one)


def _is_true(foreign: _Foreign) -> bool:
    if foreign.vr in _ALWAYS_ASCII:
        return False
    if not isinstance(foreign.value, bytes):
        return all(holds(foreign.terms, text) for text in _texts(foreign.value))
    text, is_of_the_set = read(foreign.value, foreign.terms)
    return is_of_the_set and holds(foreign.terms, text)


def _true_value(foreign: _Foreign) -> Any:
    value = foreign.value
    if isinstance(value, bytes):
        text = read(value, foreign.terms)[0].rstrip(" \0")
        value = text.split("\\") if "\\" in text and foreign.vr not in _ONE_TEXT else text
    if foreign.vr in _ALWAYS_ASCII:
        texts = [text.encode("ascii", "replace").decode() for text in _texts(value)]
        return texts[0] if len(texts) == 1 else texts
    return value
