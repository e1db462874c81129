"""What every result object shares: its patient and study, its maker, its UIDs and its date.

A retry must give the same bytes. So UIDs follow from what they name (`imaging.content_uid`), dates from the job's
creation, and nothing from a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from importlib.metadata import version
from io import BytesIO
from re import fullmatch
from typing import Final, Self

import highdicom
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from imaging.evidence import encode_evidence
from imaging.finding import ModelStamp
from imaging.report_codes import PROCESSING_EQUIPMENT
from imaging.source_texts import choose_character_set
from imaging.uids import derived_uid
from imaging.volume import ImageName, Volume

MANUFACTURER: Final = "Serinus"
_LONG_STRING: Final = 64  # characters of VR LO
_CHARACTER_SET: Final = "SpecificCharacterSet"
_FROM_SOURCE: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True, slots=True)
class ReportContext:
    """A volume without its voxels: all that a report needs of its source. Holds patient data."""

    evidence: bytes
    instance_uids: tuple[str, ...]
    sop_class_uid: str
    series_uid: str
    modality: str
    body_part: str
    frame_numbers: tuple[int, ...] = ()

    @classmethod
    def of(cls, volume: Volume) -> Self:
        return cls(
            evidence=volume.evidence,
            instance_uids=volume.instance_uids,
            sop_class_uid=volume.sop_class_uid,
            series_uid=volume.series_uid,
            modality=volume.modality,
            body_part=volume.body_part,
            frame_numbers=volume.frame_numbers,
        )

    @property
    def images(self) -> tuple[ImageName, ...]:
        """The slices that were read, in their order."""
        if not self.frame_numbers:
            return tuple(map(ImageName, self.instance_uids))
        return tuple(map(ImageName, self.instance_uids, self.frame_numbers))

    @classmethod
    def of_instances(cls, instances: Sequence[Dataset]) -> Self:
        """Of a series that became no volume, so that its failure can be reported. Raises StudyError."""
        first = instances[0]
        return cls(
            evidence=encode_evidence(first),
            instance_uids=tuple(str(instance.SOPInstanceUID) for instance in instances),
            sop_class_uid=str(first.SOPClassUID),
            series_uid=str(first.SeriesInstanceUID),
            modality=str(first.get("Modality", "OT")),
            body_part=str(first.get("BodyPartExamined", "")),
        )


def read_header(context: ReportContext) -> Dataset:
    return pydicom.dcmread(BytesIO(context.evidence))


def template_of(header: Dataset) -> Dataset:
    """The header with values that highdicom accepts; `finish` puts the source's own back.

    A hospital's patient module is not always valid, and is repeated as it came all the same.
    """
    left_out = {tag_for_keyword(keyword) for keyword in (_CHARACTER_SET, *_FROM_SOURCE)}
    # elements are taken, not set: setting one changes it in every dataset that shares it
    template = Dataset({tag: header.get_item(tag) for tag in header.keys() if tag not in left_out})  # noqa: SIM118
    encoded_as(header, template)
    for keyword in _FROM_SOURCE:
        setattr(template, keyword, None if keyword.endswith(("Date", "Time")) else "")
    return template


def encoded_as(header: Dataset, dataset: Dataset) -> None:
    """Let a dataset that takes encoded elements of a header decode them as that would."""
    implicit, little_endian = header.original_encoding
    dataset.set_original_encoding(implicit, little_endian, header.original_character_set)


def as_source(template: Dataset, context: ReportContext, instance_uid: str) -> Dataset:
    """The little that names one image of the series; shared elements are not copied."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = context.sop_class_uid, instance_uid
    image.StudyInstanceUID, image.SeriesInstanceUID = template.StudyInstanceUID, context.series_uid
    return image


def device_uid(stamp: ModelStamp) -> str:
    """One UID per model version and weights (IHE AIR: retrained is another device)."""
    return derived_uid("device", stamp.name, stamp.version, stamp.digest)


def tracking_uid(stamp: ModelStamp, series_uid: str, concept: str, number: int = 1) -> str:
    """Names one finding of one model in one series, whichever version finds it."""
    return derived_uid("tracking", stamp.name, series_uid, concept, str(number))


def describe(stamp: ModelStamp, what: str) -> str:
    """A series description (at most 64 characters) whose warning is never what is cut off.

    >>> describe(ModelStamp("ich", "3", "d", "Us", research_only=True), "AI")
    'RESEARCH ONLY AI: ich 3 (unverified)'
    """
    warning = "RESEARCH ONLY " if stamp.research_only else ""
    start, end = f"{warning}{what}: ", " (unverified)"
    room = _LONG_STRING - len(start) - len(end)
    return f"{start}{f'{stamp.name} {stamp.version}'[:room]}{end}"


def long_string(text: str) -> str:
    """As VR LO takes it: at most 64 characters, none a backslash."""
    return text.replace("\\", "/")[:_LONG_STRING]


@cache
def software_version() -> str:
    return version("serinus")


def algorithm_equipment(stamp: ModelStamp, created: datetime) -> highdicom.ContributingEquipment:
    """The model version as contributing equipment (IHE AIR 6.5.3.1)."""
    item = highdicom.ContributingEquipment(
        manufacturer=long_string(stamp.manufacturer),
        purpose_of_reference=PROCESSING_EQUIPMENT,
        manufacturer_model_name=long_string(stamp.name),
        software_versions=long_string(stamp.version),
        device_serial_number=stamp.digest[:_LONG_STRING],
        contribution_datetime=_utc(created),
        contribution_description="Algorithm that read the images",
    )
    item.DeviceUID = device_uid(stamp)  # highdicom has no argument for it
    return item


def finish(dataset: Dataset, header: Dataset, created: datetime) -> None:
    """Repeat patient and study as they came, in a character set that holds all texts; date everything by `created`.

    Date and time are in the source's zone when it states one, else in UTC. Raises ValueError for a naive
    `created`.
    """
    for keyword in _FROM_SOURCE:
        if keyword in header:
            dataset[keyword] = header[keyword]
    choose_character_set(dataset, header)
    _date(dataset, header, created)
    _date_equipment(dataset.ContributingEquipmentSequence, created)


def _date(dataset: Dataset, header: Dataset, created: datetime) -> None:
    offset = str(header.get("TimezoneOffsetFromUTC", ""))
    moment = created.astimezone(_zone(offset)) if created.tzinfo else _utc(created)
    dataset.InstanceCreationDate = dataset.ContentDate = DA(moment.date())
    dataset.InstanceCreationTime = dataset.ContentTime = TM(moment.time())
    if _is_offset(offset):
        dataset.TimezoneOffsetFromUTC = offset


def _date_equipment(items: Iterable[Dataset], created: datetime) -> None:
    """highdicom names itself with the clock's time."""
    for item in items:
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = DT(_utc(created))


def _is_offset(offset: str) -> bool:
    return fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", offset) is not None


def _zone(offset: str) -> timezone:
    if not _is_offset(offset):
        return UTC
    minutes = 60 * int(offset[1:3]) + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the time of creation needs a time zone")
    return moment.astimezone(UTC)
