"""A study in which every text that a header may hold names its patient, nested and private elements included.

Each mark is a word of its own, so that one that is found in a log or a metric says from which element it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid

MARK = "CNRY"
TEXTS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
DATES = {"PatientBirthDate": "19030217", "LastMenstrualDate": "19470913"}
FACTS = frozenset(  # equipment, and what pixels mean: read as they are, no datum of a patient
    {
        *("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SoftwareVersions"),
        *("RescaleType", "ContrastBolusAgent"),
    }
)
ELSEWHERE = frozenset({0x0000, 0x0002, 0x0004, 0x0006, 0xFFFE})  # commands, file meta, DICOMDIR, items
HIGHEST_GROUP = 0x4FFF  # above are overlays, waveforms and pixels
PRIVATE_GROUPS = (0x0011, 0x7001)


@dataclass(frozen=True, slots=True)
class MarkedStudy:
    """Part 10 files, and what may be found of them nowhere: every mark begins with MARK, in any case of letters."""

    study_uid: str
    files: tuple[bytes, ...]
    secrets: tuple[bytes, ...]


def marked(slices: Sequence[Dataset]) -> MarkedStudy:
    """The series as a study of its own, marked in every element of text; what reading needs stays."""
    study, series = generate_uid(), generate_uid()
    files = []
    secrets = {study, series, *DATES.values()}
    for original in slices:
        dataset = deepcopy(original)
        _mark(dataset)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        secrets.add(str(dataset.SOPInstanceUID))
        for keyword, day in DATES.items():
            setattr(dataset, keyword, day)
        file = BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        files.append(file.getvalue())
    return MarkedStudy(str(study), tuple(files), tuple(secret.encode() for secret in sorted(secrets)))


def found_in(text: bytes, secrets: Iterable[bytes]) -> list[bytes]:
    """Which marks and secrets the bytes hold, each with what stands after it."""
    folded = text.upper()
    found = [secret for secret in secrets if secret in text]
    at = folded.find(MARK.encode())
    while at >= 0:
        found.append(text[at : at + 24])
        at = folded.find(MARK.encode(), at + 1)
    return found


def _mark(dataset: Dataset) -> None:
    for tag, (representation, _, _, _, keyword) in DicomDictionary.items():
        group = tag >> 16
        if representation in TEXTS and keyword not in FACTS and _is_header(group):
            dataset.add_new(tag, representation, _word(tag, representation))
    nested = Dataset()
    nested.PatientName, nested.PatientID, nested.PatientComments = (
        _word(1, "PN"),
        _word(2, "LO"),
        _word(3, "LT"),
    )
    inner = Dataset()
    inner.OtherPatientNames, inner.AccessionNumber = _word(4, "PN"), _word(5, "SH")
    nested.OtherPatientIDsSequence = DicomSequence([inner])
    dataset.RequestAttributesSequence = DicomSequence([nested])
    dataset.ReferencedPatientSequence = DicomSequence([deepcopy(inner)])
    for group in PRIVATE_GROUPS:
        block = dataset.private_block(group, f"{MARK}CREATOR{group:04X}", create=True)
        block.add_new(0x01, "LO", _word(group << 16 | 1, "LO"))
        block.add_new(0x02, "PN", _word(group << 16 | 2, "PN"))
        block.add_new(0x03, "OB", _word(group << 16 | 3, "LO").encode() + b" ")
        block.add_new(0x04, "SQ", DicomSequence([deepcopy(nested)]))


def _is_header(group: int) -> bool:
    return group not in ELSEWHERE and group <= HIGHEST_GROUP


def _word(tag: int, representation: str) -> str:
    """At most 16 characters, which the shortest text (SH) may hold."""
    word = f"{MARK}{tag:08X}"
    return f"{word}^A" if representation == "PN" else word
