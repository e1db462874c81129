"""A report is made of the same bytes as ever, apart from what names this very report and this release."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from imaging.encoded import to_part10
from tests.unit.imaging.golden_reports import GOLDEN, REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_the_bytes_of_a_report_stay_as_they_were(name: str) -> None:
    expected = (GOLDEN / f"{name}.dcm").read_bytes()
    kept = pydicom.dcmread(BytesIO(expected))
    document = REPORTS[name]()
    document.SoftwareVersions = kept.SoftwareVersions
    document.SOPInstanceUID, document.SeriesInstanceUID = kept.SOPInstanceUID, kept.SeriesInstanceUID
    if "DimensionOrganizationSequence" in kept:
        document.DimensionOrganizationSequence = kept.DimensionOrganizationSequence
        document.DimensionIndexSequence = kept.DimensionIndexSequence
    assert to_part10(document) == expected
