"""What routing and the intended-use check need to know of a study, from the headers of its images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from pydicom.dataset import Dataset

from core.errors import StudyError
from imaging.acquisition import exposure_of, has_contrast, view_of
from imaging.elements import text
from imaging.source_texts import source_text
from imaging.told_as import told_as
from imaging.volume import Volume

_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DAYS_PER_YEAR: Final = 365.25
_YEARS_PER_UNIT: Final = {"D": 1 / _DAYS_PER_YEAR, "W": 7 / _DAYS_PER_YEAR, "M": 1 / 12, "Y": 1.0}
_LONGEST_YEAR: Final = 366
_OLDEST_YEARS: Final = 130


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """Patient data: never logged, never in a span. `age_years` is None where the study does not tell it.

    `view` is that of a projection (PA, AP, LL, …), blank where the study does not tell it. `has_contrast`: a contrast
    agent is named. `exposure` names the numbers of it that the header tells: `kvp`, `exposure_mas`.
    """

    patient_id: str = field(repr=False)
    accession: str = field(repr=False)
    age_years: float | None = field(repr=False)
    modality: str
    body_part: str
    scanner: str
    view: str = ""
    has_contrast: bool = False
    sex: str = field(default="", repr=False)
    manufacturer: str = ""
    kernel: str = ""
    exposure: tuple[tuple[str, float], ...] = ()


def patient_facts(images: Sequence[Dataset], volume: Volume) -> PatientFacts:
    """The facts of a study by its images and the volume made of them. Raises StudyError."""
    dataset = images[0]
    with told_as(StudyError("an image's header holds values that cannot be read")):
        return PatientFacts(
            patient_id=source_text(dataset, "PatientID"),
            accession=source_text(dataset, "AccessionNumber"),
            age_years=age_of(dataset),
            modality=volume.modality,
            body_part=volume.body_part,
            scanner=f"{source_text(dataset, 'Manufacturer')} {source_text(dataset, 'ManufacturerModelName')}".strip(),
            view=view_of(dataset),
            has_contrast=has_contrast(images),
            sex=source_text(dataset, "PatientSex"),
            manufacturer=source_text(dataset, "Manufacturer"),
            kernel=text(dataset, "ConvolutionKernel"),
            exposure=exposure_of(dataset),
        )


def age_of(dataset: Dataset) -> float | None:
    """Years at the time of the study: by PatientAge, else by PatientBirthDate and StudyDate (PS3.3 C.7.2.2)."""
    stated = age_years(source_text(dataset, "PatientAge"))
    if stated is not None:
        return stated
    return years_between(source_text(dataset, "PatientBirthDate"), source_text(dataset, "StudyDate"))


def age_years(age: str) -> float | None:
    """Years of a DICOM Age String (PS3.5 6.2, VR AS), or None where it is blank or malformed."""
    parts = _AGE.fullmatch(age)
    return int(parts[1]) * _YEARS_PER_UNIT[parts[2]] if parts else None


def years_between(birth: str, study: str) -> float | None:
    """Years from one DICOM date (PS3.5 6.2, VR DA) to another; None where either is no date, or no life fits.

    Whole from birthday to birthday, which a limit of the intended use counts by: who was born on 29 February has
    that on 1 March in other years.
    """
    born, examined = _date(birth), _date(study)
    if born is None or examined is None or examined < born:
        return None
    years = examined.year - born.year - (_day(examined) < _day(born))
    since_birthday = (examined - _birthday(born, born.year + years)).days
    return years + since_birthday / _LONGEST_YEAR if years <= _OLDEST_YEARS else None


def _day(moment: date) -> tuple[int, int]:
    return moment.month, moment.day


def _birthday(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _date(text: str) -> date | None:
    parts = _DATE.fullmatch(text)
    try:
        return date(int(parts[1]), int(parts[2]), int(parts[3])) if parts else None
    except ValueError:
        return None
