"""The header `Prefer` (RFC 7240): what a caller would like, and may not get.

Prefer     = #preference
preference = token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] )
word       = token / quoted-string
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

WAIT: Final = "wait"
RESPOND_ASYNC: Final = "respond-async"
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 # RFC 9110 5.6.2
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_PAIR: Final = rf"{_TOKEN}(?:[ \t]*=[ \t]*(?:{_TOKEN}|{_QUOTED}))?"
_PREFERENCE: Final = re.compile(rf"({_PAIR})(?:[ \t]*;(?:[ \t]*{_PAIR})?)*")
_ELEMENT: Final = re.compile(rf"(?:{_QUOTED}|[^\",])+")
_MOST_HEADERS: Final = 20
_MOST_CHARACTERS: Final = 1000  # of one header; a longer one is passed over


def preferences(headers: Iterable[str]) -> Mapping[str, str]:
    """What is preferred, by name in lower case; the value is empty where none is given.

    Of a preference that is named twice the first counts (section 2). What is malformed is passed over, as a
    preference that is not known is.

    >>> preferences(['respond-async, wait="10"; a=b', 'WAIT=5, =, handling = lenient'])
    {'respond-async': '', 'wait': '10', 'handling': 'lenient'}
    """
    found: dict[str, str] = {}
    short = [header for header in headers if len(header) <= _MOST_CHARACTERS]
    for header in short[:_MOST_HEADERS]:
        for element in _ELEMENT.findall(header):
            match = _PREFERENCE.fullmatch(element.strip(" \t"))
            if match is not None:
                name, _, word = match[1].partition("=")
                found.setdefault(name.strip(" \t").lower(), _unquoted(word.strip(" \t")))
    return found


def preferred_wait(wanted: Mapping[str, str], most_s: float) -> float | None:
    """Seconds of `wait` (section 4.3), at most `most_s`; None where it is not asked for or is no number."""
    value = wanted.get(WAIT, "")
    return min(float(value), most_s) if value.isascii() and value.isdigit() else None


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word
