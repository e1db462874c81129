"""DICOM's character sets: whether one holds a text, and what bytes say (PS3.3 C.12.1.1.2, PS3.5 6.1).

A source may name a set that is not the one of its bytes, or none at all. Such a text is read as UTF-8, or else as
Windows-1252, of which Latin-1 is a part: something readable comes of every byte.
"""

from __future__ import annotations

import re
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

Terms = tuple[str, ...]
"""The values of Specific Character Set; none stands for ASCII, the default repertoire."""

UTF8: Final[Terms] = ("ISO_IR 192",)
_ASCII: Final = "ascii"
_CODECS: Final = {**python_encoding, "": _ASCII, "ISO_IR 6": _ASCII, "ISO 2022 IR 6": _ASCII}
_ALONE: Final = frozenset({"GB18030", "GBK", *UTF8})
_UNWRITABLE: Final = "ISO 2022 IR 58"  # pydicom neither reads nor writes its escape sequences
_SPELLING: Final = re.compile(r"ISO.?(2022)?.?IR.?(\d{1,3})", re.IGNORECASE)
_ESCAPE: Final = b"\x1b"
_FRAGMENT: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_KEEP_ESCAPES: Final = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}  # Python's codecs want them
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
_KATAKANA: Final = range(0xFF61, 0xFFA0)  # what JIS X 0201 has beside ASCII


def spelt(term: str) -> str:
    """A defined term that is only misspelt, as the standard spells it.

    >>> spelt("iso-ir 100"), spelt("ISO 2022 IR 87"), spelt("latin")
    ('ISO_IR 100', 'ISO 2022 IR 87', 'latin')
    """
    parts = None if term in _CODECS else _SPELLING.fullmatch(term)
    if parts is None:
        return term
    return f"ISO 2022 IR {parts[2]}" if parts[1] else f"ISO_IR {parts[2]}"


def is_valid(terms: Terms) -> bool:
    """Whether the standard knows the set, and pydicom writes it as the standard says."""
    if any(term not in _CODECS for term in terms):
        return False
    if len(terms) < 2:
        return all(term.startswith("ISO_IR ") or term in _ALONE for term in terms)
    extensions = (terms[0] or "ISO 2022 IR 6", *terms[1:])
    return all(term.startswith("ISO 2022 IR ") and term != _UNWRITABLE for term in extensions)


def holds(terms: Terms, text: str) -> bool:
    """Whether a set has every character of the text; one that is not valid holds ASCII only."""
    if text.isascii():
        return True
    if not is_valid(terms) or _CONTROLS.search(text):
        return False
    codecs = _codecs(terms)
    # pydicom would write a character of Latin-1 without the escape sequence that it needs then
    lost = range(0x80, 0x100) if len(codecs) > 1 and codecs[0] == _ASCII else range(0)
    return all(
        character.isascii()
        or (ord(character) not in lost and any(_has(codec, character) for codec in codecs))
        for character in set(text)
    )


def read(value: bytes, terms: Terms) -> tuple[str, bool]:
    """What the bytes of a text say, and whether they are of the set."""
    try:
        text = _decoded(value, _codecs(terms))
        if text.isascii() or not _CONTROLS.search(text):
            return text, True
    except UnicodeError:
        pass
    try:
        text = value.decode("utf-8")
    except UnicodeError:
        text = value.decode("cp1252", "replace")
    return _CONTROLS.sub("?", text), False


def _codecs(terms: Terms) -> list[str]:
    return [_CODECS[term] for term in terms if term in _CODECS] or [_ASCII]


def _decoded(value: bytes, codecs: list[str]) -> str:
    """By the first set, or the one that an escape sequence names (PS3.5 6.1.2.5). Raises UnicodeError."""
    if _ESCAPE not in value:
        return value.decode(codecs[0])
    return "".join(_fragment(fragment, codecs) for fragment in _FRAGMENT.findall(value))


def _fragment(fragment: bytes, codecs: list[str]) -> str:
    if not fragment.startswith(_ESCAPE):
        return fragment.decode(codecs[0])
    length = 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3
    codec = CODES_TO_ENCODINGS.get(fragment[:length], "")
    if codec == python_encoding[""]:
        codec = _ASCII
    if codec not in (*codecs, _ASCII):
        raise UnicodeError("an escape sequence of a set that is not declared")
    return fragment.decode(codec) if codec in _KEEP_ESCAPES else fragment[length:].decode(codec)


def _has(codec: str, character: str) -> bool:
    """Whether a set has a character that is not ASCII."""
    if codec == "shift_jis":
        return ord(character) in _KATAKANA
    try:
        return character.encode(codec).startswith(_KEEP_ESCAPES.get(codec, b""))
    except UnicodeError:
        return False
