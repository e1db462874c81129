"""The one rule for a DICOM UID (PS3.5 9.1): components of digits without leading zeros, at most 64 characters."""

from __future__ import annotations

import re
from typing import Final

MAX_UID_LENGTH: Final = 64
UID_PATTERN: Final = r"^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$"
_UID: Final = re.compile(UID_PATTERN)


def is_uid(text: str) -> bool:
    """Whether `text` is a UID.

    >>> is_uid("1.2.840"), is_uid("1..2"), is_uid("1.02"), is_uid("../1")
    (True, False, False, False)
    """
    return len(text) <= MAX_UID_LENGTH and _UID.fullmatch(text) is not None
