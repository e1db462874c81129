"""What goes back to the archive of one study: the report of a result, or of there being none. Pure.

A report that would say what the former one says is that one again, byte by byte; any other supersedes what stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from core.errors import ModelFailed
from imaging.encoded import to_part10
from imaging.finding import ModelStamp, Prediction
from imaging.report_sr import (
    FormerReport,
    ReportContext,
    says_the_same,
    says_the_same_failure,
    to_failure_sr,
    to_sr,
)
from imaging.segmentation import to_seg
from imaging.volume import Geometry
from ledger import SR, FormerReports

SEG: Final = "seg"
_REFUSALS: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Report:
    """The DICOM objects of one inference, encoded, by kind."""

    documents: Mapping[str, bytes]
    sr_uid: str | None


@dataclass(frozen=True, slots=True)
class ReportOrder:
    """Which objects are wanted, of which study. `created` dates them, so a retry repeats it."""

    outputs: tuple[str, ...]
    created: datetime
    context: ReportContext
    geometry: Geometry
    former: FormerReports


@dataclass(frozen=True, slots=True)
class FailureReport:
    """The SR of a study of which there is no result; not `is_new` if the former one says it already."""

    content: bytes = field(repr=False)
    is_new: bool


def report_of(prediction: Prediction, order: ReportOrder) -> Report:
    """Raises ModelFailed for a prediction that no report may hold, whoever finds that out."""
    documents: dict[str, bytes] = {}
    sr_uid = None
    with refusals_as_model_failures():
        if SR in order.outputs:
            sr_uid, documents[SR] = _sr_of(prediction, order)
        if SEG in order.outputs and prediction.mask is not None:
            segmentation = to_seg(prediction, order.context, order.geometry, created=order.created)
            documents[SEG] = to_part10(segmentation)
    return Report(documents, sr_uid)


def failure_report_of(
    stamp: ModelStamp, context: ReportContext, reason: str, created: datetime, former: FormerReports
) -> FailureReport:
    """The SR which says that the version came to no result. A result's SR stands beside it, and is not superseded.

    Raises ModelFailed for a study that no report can speak of.
    """
    with refusals_as_model_failures():
        before = None if former.failure_sr is None else FormerReport.of(former.failure_sr)
        if former.failure_sr and before and says_the_same_failure(before, stamp, context, reason=reason):
            return FailureReport(former.failure_sr, is_new=False)
        superseded = () if before is None else (before.name,)
        report = to_failure_sr(stamp, context, reason=reason, created=created, predecessors=superseded)
        return FailureReport(to_part10(report), is_new=True)


@contextmanager
def refusals_as_model_failures() -> Iterator[None]:
    """What highdicom and pydicom do not take as they find it is an answer that no report may hold.

    Their own words may repeat a value, so that only the kind of the refusal is told.
    """
    try:
        yield
    except _REFUSALS as error:
        raise ModelFailed(f"no report can hold the answer: {type(error).__name__}") from None


def _sr_of(prediction: Prediction, order: ReportOrder) -> tuple[str, bytes]:
    """The SR, and the UID of its instance."""
    former = order.former
    before = None if former.sr is None else FormerReport.of(former.sr)
    failed = None if former.failure_sr is None else FormerReport.of(former.failure_sr)
    if former.sr and before and not failed and says_the_same(before, prediction, order.context):
        return before.name.instance_uid, former.sr
    superseded = [report.name for report in (before, failed) if report is not None]
    report = to_sr(prediction, order.context, created=order.created, predecessors=superseded)
    return str(report.SOPInstanceUID), to_part10(report)
