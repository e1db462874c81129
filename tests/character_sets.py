"""Sources by what they say of their character set, and whether it is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from types import MappingProxyType
from typing import Any

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from imaging.evidence import encode_evidence
from imaging.instance import parse_instance
from imaging.volume import Volume
from tests.reports import source

CALLED = MappingProxyType({"PatientName": "PN", "StudyDescription": "LO", "Manufacturer": "LO"})


@dataclass(frozen=True, slots=True)
class Source:
    """What a source declares, the bytes of its patient's name, and what they mean.

    `kept` says whether a report of ASCII words may keep the set.
    """

    terms: str | list[str] | None
    name: bytes
    says: str
    kept: bool = False


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "latin-1": Source("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg", True),
        "polish": Source("ISO_IR 101", "Wałęsa^Łucja".encode("iso8859-2"), "Wałęsa^Łucja", True),
        "greek": Source(
            "ISO_IR 126", "Παπαδόπουλος^Γιώργος".encode("iso8859-7"), "Παπαδόπουλος^Γιώργος", True
        ),
        "russian": Source("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг", True),
        "utf-8": Source("ISO_IR 192", "Wang^XiaoDong=王^小東".encode(), "Wang^XiaoDong=王^小東", True),
        "gb18030": Source(
            "GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东", True
        ),
        "japanese": Source(  # PS3.5 H.3.1
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
            True,
        ),
        "japanese with katakana": Source(  # PS3.5 H.3.2
            ["ISO 2022 IR 13", "ISO 2022 IR 87"],
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            True,
        ),
        "korean": Source(  # PS3.5 I.2
            ["", "ISO 2022 IR 149"],
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
            True,
        ),
        # ---- not as the standard has it
        "no set, latin-1": Source(None, b"M\xfcnster^J\xf6rg", "Münster^Jörg"),
        "no set, utf-8": Source(None, "Łódź^Ola".encode(), "Łódź^Ola"),
        "utf-8 that is latin-1": Source("ISO_IR 192", b"M\xfcnster", "Münster"),
        "latin-1 that is utf-8": Source("ISO_IR 100", "ÖßŁ".encode(), "ÖßŁ"),
        "katakana that is shift-jis": Source("ISO_IR 13", "山田^太郎".encode("shift-jis"), "山田^太郎"),
        "korean alone": Source("ISO 2022 IR 149", "홍^길동".encode("euc-kr"), "홍^길동"),
        "misspelt": Source("ISO-IR 101", "Wałęsa".encode("iso8859-2"), "Wałęsa"),
        "no such set": Source("KLINGON", b"M\xfcnster", "Münster"),
        "windows quotes": Source("ISO_IR 100", b"O\x92Brien", "O\u2019Brien"),
        "control characters": Source(None, b"M\xfcn\x01ster", "Mün?ster"),
    }
)


def header_of(said: Source, volume: Volume, **more: Any) -> Dataset:
    """The header of a volume's first image, read from a file of a scanner that writes the name everywhere.

    `more` are further elements by keyword, as `as_in_a_file` makes them.
    """
    header = pydicom.dcmread(BytesIO(volume.evidence))
    header.pop("SpecificCharacterSet", None)
    if said.terms is not None:
        header.SpecificCharacterSet = said.terms
    code = Dataset(
        {Tag(keyword): as_in_a_file(keyword, vr, value) for keyword, vr, value in _code(said.name)}
    )
    code.set_original_encoding(False, True, default_encoding)
    header.ProcedureCodeSequence = [code]
    for keyword, vr in CALLED.items():
        header[keyword] = as_in_a_file(keyword, vr, said.name)
    for keyword, element in more.items():
        header[keyword] = element
    header.set_original_encoding(False, True, convert_encodings(said.terms))
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return parse_instance(buffer.getvalue())


def _code(meaning: bytes) -> tuple[tuple[str, str, bytes], ...]:
    return (
        ("CodeValue", "SH", b"1"),
        ("CodingSchemeDesignator", "SH", b"99LOCAL"),
        ("CodeMeaning", "LO", meaning),
    )


def volume_of(said: Source) -> Volume:
    volume = source(slices=3)
    return replace(volume, evidence=encode_evidence(header_of(said, volume)))


def as_in_a_file(keyword: str, vr: str, value: bytes) -> Any:
    padded = value + b" " * (len(value) % 2)
    return RawDataElement(Tag(keyword), vr, len(padded), padded, 0, False, True)
