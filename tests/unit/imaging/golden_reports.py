"""Reports and segmentations whose bytes are kept in `golden/`, as they were before their building was made faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydicom.dataset import Dataset

from imaging.finding import ModelStamp
from imaging.report_sr import ReportContext, to_failure_sr, to_sr
from imaging.segmentation import to_seg
from tests.reports import (
    CREATED,
    STAMP,
    classification,
    film_source,
    finding,
    localisation,
    prediction,
    segmentation,
    source,
)

CT = source(slices=7)
FILM = film_source()
CONTEXT = ReportContext.of(CT)
RESEARCH = ModelStamp("brain-volume", "1", "ef" * 32, "Demo maker", research_only=True)
ODD = source(
    SpecificCharacterSet="ISO_IR 192",
    PatientName="Müller^Jörg",
    PatientSex="X",
    TimezoneOffsetFromUTC="+0200",
)


def _classification() -> Dataset:
    said = classification(CT, notes=("pixel spacing is unknown",))
    return to_sr(said, CONTEXT, created=CREATED)


def _two_findings_of_a_research_version() -> Dataset:
    said = prediction(CT, stamp=RESEARCH, findings=(finding(), finding(site=None, probability=0.1234567)))
    return to_sr(said, CONTEXT, created=CREATED)


def _odd_header() -> Dataset:
    return to_sr(classification(ODD), ReportContext.of(ODD), created=CREATED)


def _failure() -> Dataset:
    return to_failure_sr(STAMP, CONTEXT, reason="too few slices", created=CREATED)


REPORTS: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {
        "classification": _classification,
        "two-findings-research": _two_findings_of_a_research_version,
        "measurement": lambda: to_sr(segmentation(CT), CONTEXT, created=CREATED),
        "boxes-on-a-film": lambda: to_sr(localisation(FILM), ReportContext.of(FILM), created=CREATED),
        "odd-header": _odd_header,
        "failure": _failure,
        "segmentation": lambda: to_seg(segmentation(CT), CONTEXT, CT.geometry, created=CREATED),
    }
)
