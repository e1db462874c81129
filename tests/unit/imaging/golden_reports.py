"""Reports and segmentations whose bytes are kept in `golden/`, as they were before their building was made faster.

`python -m tests.unit.imaging.golden_reports NAME…` writes those anew whose content was changed on purpose.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydicom.dataset import Dataset

from imaging.encoded import to_part10
from imaging.finding import InputCheck, InputVerdict, ModelStamp, Presence, Urgency
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

GOLDEN = Path(__file__).parent / "golden"
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


def _foreign_input() -> Dataset:
    found = finding(presence=Presence.INDETERMINATE, urgency=Urgency.NONE)
    check = InputCheck(InputVerdict.FOREIGN, 3.4, 0.002, ("enclosed air",))
    said = prediction(CT, findings=(found,), notes=("nothing is read from it",), input_check=check)
    return to_sr(said, CONTEXT, created=CREATED)


def _failure() -> Dataset:
    return to_failure_sr(STAMP, CONTEXT, reason="too few slices", created=CREATED)


REPORTS: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {
        "classification": _classification,
        "two-findings-research": _two_findings_of_a_research_version,
        "measurement": lambda: to_sr(segmentation(CT), CONTEXT, created=CREATED),
        "boxes-on-a-film": lambda: to_sr(localisation(FILM), ReportContext.of(FILM), created=CREATED),
        "odd-header": _odd_header,
        "foreign-input": _foreign_input,
        "failure": _failure,
        "segmentation": lambda: to_seg(segmentation(CT), CONTEXT, CT.geometry, created=CREATED),
    }
)


def main(names: Sequence[str]) -> None:
    for name in names:
        (GOLDEN / f"{name}.dcm").write_bytes(to_part10(REPORTS[name]()))


if __name__ == "__main__":
    main(sys.argv[1:])
