"""No patient leaves in a text: keyed pseudonyms for what must be named, `scrub` for everything else."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

MIN_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Pseudonymiser:
    """Stable names for studies and patients that only the holder of `key` can derive again.

    A keyed BLAKE2b (RFC 7693) of 80 bits in base32: `st-` and 16 characters for a study, `pt-` for a patient.
    The two are computed in separate domains, so that equal ids of different kinds get unrelated names.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MIN_KEY_BYTES <= len(self.key) <= blake2b.MAX_KEY_SIZE:
            raise ValueError(f"a pseudonym key has {MIN_KEY_BYTES} to {blake2b.MAX_KEY_SIZE} bytes")

    def study(self, uid: str) -> str:
        """The pseudonym of a Study Instance UID."""
        return "st-" + self._name(b"study", uid)

    def patient(self, patient_id: str, issuer: str = "") -> str:
        """The pseudonym of a Patient ID within its issuer (PS3.3 C.2.2: an id is unique only there)."""
        return "pt-" + self._name(b"patient", patient_id, issuer)

    def accession(self, number: str) -> str:
        """The pseudonym of an Accession Number."""
        return "ac-" + self._name(b"accession", number)

    def of_period(self, study_key: str, period: str) -> str:
        """Another name of a study, for what leaves the site in `period` (`2026-12`): two periods cannot be linked."""
        return "sp-" + self._name(b"period", study_key, period)

    def _name(self, domain: bytes, identity: str, scope: str = "") -> str:
        trimmed = identity.strip(" \0")  # DICOM pads to even length (PS3.5 6.2)
        if not trimmed:
            raise ValueError("an empty id has no pseudonym")
        parts = f"{len(trimmed)}:{trimmed}{scope.strip()}"
        digest = blake2b(parts.encode("utf-8", "surrogatepass"), key=self.key, person=domain, digest_size=10)
        return base64.b32encode(digest.digest()).decode().lower()


def scrub(text: str) -> str:
    """The text without anything that looks like a patient: UIDs, names, mail addresses, queries, dates.

    It errs on the safe side: a harmless word beside a name may go too. Version numbers, IP addresses,
    durations and our own pseudonyms stay readable.

    >>> scrub("GET /dicom-web/studies/1.2.840.113619.2.55/series?PatientID=77 took 0.31 s")
    'GET /dicom-web/studies/[uid]/series?[query] took 0.31 s'
    """
    for rule in _RULES:
        text = rule(text)
    return text


# Attribute keywords, as pydicom spells them, and the same in snake case.
_PATIENT_FIELDS: Final = frozenset(
    {
        *("patient", "patientname", "patientid", "patientbirthdate", "patientaddress", "mrn"),
        *("otherpatientids", "otherpatientnames", "accessionnumber", "referringphysicianname"),
        *("institutionname", "studyinstanceuid", "seriesinstanceuid", "sopinstanceuid"),
        *("studyuid", "seriesuid", "instanceuid", "dataset"),
    }
)


def is_patient_field(name: str) -> bool:
    """Whether a log field of this name would hold a patient datum by its very meaning."""
    return name.replace("_", "").lower() in _PATIENT_FIELDS


def scrub_value(value: object) -> object:
    """A log field's value as plain JSON data: numbers as they are, everything else as scrubbed text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            scrub(str(k)): "[patient]" if is_patient_field(str(k)) else scrub_value(v)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub_value(item) for item in value]
    return scrub(str(value))


# Each pattern can begin only at a boundary, so that a long token costs linear time.
_MAIL = re.compile(r"(?<![^\s@<>\"'/:])[^\s@<>\"'/:]+(?::[^\s@/:]*)?@[\w-]+(?:\.[\w-]+)*")
_ELEMENT = re.compile(r"\([0-9a-fA-F]{4}, ?[0-9a-fA-F]{4}\)[^\n]*")
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'\[?=]+=[^\s\"']*")
_RESOURCE = re.compile(r"\b(studies|series|instances)/(?!\[)[^/\s?\"'&,;)\]]+")
_DOTTED = re.compile(r"(?<!\d)\d+(?:(?:\.|_|%2[eE])\d+){2,}")
_DATE = re.compile(r"(?<![0-9A-Za-z])(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![0-9A-Za-z])")
_KEYWORD = re.compile(
    r"\b((?:Other)?Patient(?:s?Name|IDs?|BirthDate)|AccessionNumber|MRN)(['\"]?\s*[=:]\s*)(?!\[)"
    r"(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&)}\]]+)"
)
_QUOTED_NAME = re.compile(r"(['\"])(?=[^'\"\n]*\^)(?=[^'\"\n]*[^\W\d_])[^'\"\n]*\1")

_LONGEST_IPV4 = 15


def _hide_long_dotted(match: re.Match[str]) -> str:
    text = match.group()
    groups = len(re.split(r"\.|_|%2[eE]", text))
    return "[uid]" if groups > 4 or len(text) > _LONGEST_IPV4 else text


_CARET = re.compile(r"\^|%5[eE]")
_LETTER = re.compile(r"[^\W\d_]")
_PARTICLES = frozenset(
    {
        *("van", "von", "der", "den", "ter", "de", "del", "della", "di", "da", "dos", "das", "la", "le"),
        *("el", "al", "bin", "ibn", "ben", "zu", "zum", "y", "e"),
    }
)


def _hide_names(text: str) -> str:
    """Person names in caret form (PS3.5 6.2.1.1), with the capitalised words before and after them.

    A component may hold several words ("VAN DER BERG^ANNA MARIA"); where it ends cannot be known, so every
    neighbour that could belong to it goes. The marks under a line of a traceback are no name.
    """
    if not _CARET.search(text):
        return text
    return "\n".join(_hide_names_in_line(line) for line in text.split("\n"))


def _hide_names_in_line(line: str) -> str:
    tokens = re.split(r"(\s+)", line)  # words at even places, space between them
    names = {i for i in range(0, len(tokens), 2) if _is_caret_name(tokens[i])}
    hidden = set(names)
    for i in names:
        hidden |= _name_words(tokens, range(i - 2, -1, -2)) | _name_words(
            tokens, range(i + 2, len(tokens), 2)
        )
    masked = "".join("\0" if i in hidden else token for i, token in enumerate(tokens))
    return re.sub(r"\0(?:\s+\0)*", "[name]", masked) if hidden else line


def _is_caret_name(word: str) -> bool:
    return bool(_CARET.search(word) and _LETTER.search(_CARET.sub("", word)))


def _name_words(tokens: Sequence[str], indices: range) -> set[int]:
    """The run of tokens, read outwards from a name, that could still be part of it."""
    run: set[int] = set()
    for i in indices:
        if not _could_be_name(tokens[i]):
            break
        run.add(i)
    return run


def _could_be_name(word: str) -> bool:
    """Whether a part of the word is capitalised, of a script without case, or a particle like "van"."""
    parts = (part.strip("'(),.;-") for part in re.split(r"[/=:?&\"(\[{<>]", word))
    return any(
        part.lower() in _PARTICLES or (part[0].isalpha() and not part[0].islower()) for part in parts if part
    )


_RULES: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: _ELEMENT.sub("[element]", text),
    lambda text: _KEYWORD.sub(r"\1\2[patient]", text),
    lambda text: _MAIL.sub("[mail]", text),
    lambda text: _QUOTED_NAME.sub(r"\1[name]\1", text),
    _hide_names,
    lambda text: _QUERY.sub("?[query]", text),
    lambda text: _RESOURCE.sub(r"\1/[uid]", text),
    lambda text: _DOTTED.sub(_hide_long_dotted, text),
    lambda text: _DATE.sub("[date]", text),
)
