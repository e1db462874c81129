"""Read a dataset's elements without decoding them: a study has hundreds of headers and few distinct values.

Parsed headers keep values as raw bytes; asking pydicom for one converts and validates it, which
for the geometry of a long series takes longer than its pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag


@cache
def _tag(keyword: str) -> BaseTag:
    """pydicom looks a keyword up anew each time, which for a long series is a tenth of all reading."""
    return Tag(keyword)


def raw(dataset: Dataset, tags: Iterable[BaseTag]) -> tuple[object, ...]:
    """Something hashable that is equal when the values of these elements are; None for one that is absent."""
    return tuple(_raw(dataset.get_item(tag)) for tag in tags)


def _raw(element: DataElement | RawDataElement | None) -> object:
    if element is None:
        return None
    return element.value if isinstance(element.value, bytes) else str(element.value)


def text(dataset: Dataset, keyword: str) -> str:
    """A code string, UID or description, ASCII at least, with several values joined by backslashes."""
    element = dataset.get_item(_tag(keyword))
    value = None if element is None else element.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0")
    values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    return "\\".join(map(str, values)).strip()


def floats(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """A decimal string's values; empty when it is absent or blank. Raises ValueError when it is no number."""
    element = dataset.get_item(_tag(keyword))
    value = None if element is None else element.value
    if value is None or (isinstance(value, bytes | str) and not value.strip()):
        return ()
    return tuple(map(float, value.split(b"\\") if isinstance(value, bytes) else np.atleast_1d(value)))
