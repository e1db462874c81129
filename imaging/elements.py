"""Read a dataset's elements without decoding them: a study has hundreds of headers and few distinct values.

Parsed headers keep values as raw bytes; asking pydicom for one converts and validates it, which
for the geometry of a long series takes longer than its pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag


@cache
def _tag(keyword: str) -> BaseTag:
    """pydicom looks a keyword up anew each time, which for a long series is a tenth of all reading."""
    return Tag(keyword)


def raw(dataset: Dataset, keyword: str) -> object:
    """Something hashable that is equal when the element's value is; None when the element is absent."""
    element = dataset.get_item(_tag(keyword))
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
    return value.strip() if isinstance(value, str) else "\\".join(map(str, value))


def floats(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """A decimal string's values; empty when it is absent or blank. Raises ValueError when it is no number."""
    element = dataset.get_item(_tag(keyword))
    value = None if element is None else element.value
    if value is None or (isinstance(value, bytes | str) and not value.strip()):
        return ()
    return tuple(map(float, value.split(b"\\") if isinstance(value, bytes) else np.atleast_1d(value)))
