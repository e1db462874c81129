"""A prediction -> a DICOM Comprehensive 3D SR, to be stored beside the images it speaks of. Pure.

It is COMPLETE, PRELIMINARY and UNVERIFIED: nobody has looked at it yet. `dciodvfy` checks the object,
`dsrdump` its tree, and our own walker its rows (tests/sr_tree.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Final

import highdicom.sr as sr
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage
from pydicom.valuerep import DT

from imaging.content_uid import UNNAMED, name_by_content
from imaging.encoded_items import REFERENCES, encode_codes, encoded_references
from imaging.finding import ModelStamp, Prediction
from imaging.report_codes import private_scheme
from imaging.report_content import TITLE, failure_content
from imaging.report_form import Content, ContentForms, built_content
from imaging.report_frame import (
    MANUFACTURER,
    ReportContext,
    algorithm_equipment,
    describe,
    finish,
    read_header,
    software_version,
    template_of,
)

__all__ = ["FormerReport", "ReportContext", "ReportName", "to_failure_sr", "to_sr"]

SERIES_NUMBER: Final = 9901
FORMS: Final = ContentForms()


@dataclass(frozen=True, slots=True)
class ReportName:
    """Which SR is meant: its study, series and own UID."""

    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    instance_uid: str = field(repr=False)

    def as_reference(self) -> Dataset:
        """What highdicom makes the item of the Predecessor Documents Sequence from."""
        reference = Dataset()
        reference.SOPClassUID, reference.SOPInstanceUID = Comprehensive3DSRStorage, self.instance_uid
        reference.StudyInstanceUID, reference.SeriesInstanceUID = self.study_uid, self.series_uid
        return reference


@dataclass(frozen=True, slots=True)
class FormerReport:
    """An earlier SR of the same model on the same study: when it was made, and which ones it superseded itself."""

    name: ReportName
    created: datetime
    predecessors: tuple[ReportName, ...]

    @classmethod
    def of(cls, content: bytes) -> FormerReport:
        """Read from the report's own Part 10 file."""
        names = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        sequences = ["PredecessorDocumentsSequence", "ContributingEquipmentSequence"]
        header = pydicom.dcmread(BytesIO(content), specific_tags=[*names, *sequences])
        equipment = header.ContributingEquipmentSequence
        moment = next(DT(item.ContributionDateTime) for item in equipment if "ContributionDateTime" in item)
        return cls(
            ReportName(*(str(header[name].value) for name in names)), moment, (*_predecessors_of(header),)
        )


def _predecessors_of(header: Dataset) -> Iterator[ReportName]:
    for study in header.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                names = (study.StudyInstanceUID, series.SeriesInstanceUID, instance.ReferencedSOPInstanceUID)
                yield ReportName(*map(str, names))


def says_the_same(former: FormerReport, prediction: Prediction, context: ReportContext) -> bool:
    """Whether `to_sr` would make the former report of the prediction again, had it that one's date and predecessors.

    Then there is nothing new to report: the former one stands.
    """
    again = to_sr(prediction, context, created=former.created, predecessors=former.predecessors)
    return str(again.SOPInstanceUID) == former.name.instance_uid


def to_sr(
    prediction: Prediction,
    context: ReportContext,
    *,
    created: datetime,
    predecessors: Sequence[ReportName] = (),
) -> Dataset:
    """The report of a prediction. Equal arguments give equal bytes, so that a retry stores nothing new.

    `created` is the job's own instant and has a time zone. `predecessors` are named in the Predecessor Documents
    Sequence (PS3.3 C.17.2), by which a PACS knows that this report supersedes those. Raises ModelFailed when a
    number is not finite or an image that is pointed at is not of the series.
    """
    header = read_header(context)
    content = FORMS.content(prediction, context, header)
    return _document(content, header, context, prediction.stamp, created, predecessors)


def to_failure_sr(
    stamp: ModelStamp,
    context: ReportContext,
    *,
    reason: str,
    created: datetime,
    predecessors: Sequence[ReportName] = (),
) -> Dataset:
    """The report that a version read the series and came to no result, so that nobody takes silence for a
    negative. `reason` is an error's detail: plain words without a patient datum. The rest is as of `to_sr`.
    """
    header = read_header(context)
    content = built_content(failure_content(stamp, context, reason))
    return _document(content, header, context, stamp, created, predecessors)


def says_the_same_failure(
    former: FormerReport, stamp: ModelStamp, context: ReportContext, *, reason: str
) -> bool:
    """Whether `to_failure_sr` would make the former report again, had it that one's date and predecessors."""
    again = to_failure_sr(
        stamp, context, reason=reason, created=former.created, predecessors=former.predecessors
    )
    return str(again.SOPInstanceUID) == former.name.instance_uid


def _document(
    content: Content,
    header: Dataset,
    context: ReportContext,
    stamp: ModelStamp,
    created: datetime,
    predecessors: Sequence[ReportName],
) -> Dataset:
    """highdicom makes the document around the root alone and one image: it copies and searches what it is given."""
    document = sr.Comprehensive3DSR(
        evidence=[template_of(header)],
        content=_empty_root(),
        series_instance_uid=UNNAMED,
        series_number=SERIES_NUMBER,
        sop_instance_uid=UNNAMED,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version(),
        device_serial_number="0",
        series_description=describe(stamp, "AI"),
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=[name.as_reference() for name in predecessors] or None,
        contributing_equipment=[algorithm_equipment(stamp, created)],
    )
    document.CodingSchemeIdentificationSequence = [private_scheme()]
    if not isinstance(content, RawDataElement):  # its texts have a say in the character set
        document[content.tag] = content
    finish(document, header, created)
    document[content.tag] = content
    _refer_to_all(document, context)
    encode_codes(document)
    name_by_content(document, "sr")
    return document


def _empty_root() -> Dataset:
    """The root of the content tree, which names its template (TID 1500)."""
    bare = sr.ContainerContentItem(TITLE, template_id="1500")
    bare.ContentSequence = sr.ContentSequence([])
    return bare


def _refer_to_all(document: Dataset, context: ReportContext) -> None:
    """Name every image that was read as evidence; highdicom named the first, from which it took the patient."""
    (series,) = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    own = series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    images = dict.fromkeys((own, *context.instance_uids))
    series[REFERENCES] = encoded_references(context.sop_class_uid, images)
