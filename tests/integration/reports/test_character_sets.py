"""`dciodvfy` and `dsrdump` find no error in a report, whatever character set its source declares or lies about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imaging.report_sr import ReportContext, to_sr
from imaging.segmentation import to_seg
from tests.character_sets import SOURCES, volume_of
from tests.reports import CREATED, STAMP, segmentation, source
from tests.validators import assert_valid_seg, assert_valid_sr

MUENSTER = replace(STAMP, manufacturer="University of Münster")


@pytest.mark.parametrize("stamp", [STAMP, MUENSTER], ids=["ASCII", "Münster"])
@pytest.mark.parametrize("said", SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.filterwarnings("ignore")
def test_both_validators_accept_what_is_said_of_a_patient_of_any_name(said, stamp, tmp_path: Path) -> None:
    volume = volume_of(said)
    context, found = ReportContext.of(volume), segmentation(volume, stamp=stamp)
    text = assert_valid_sr(to_sr(found, context, created=CREATED), tmp_path)
    if text or not isinstance(said.terms, list):  # it knows no code extensions
        assert said.says in text
        assert stamp.manufacturer in text
    assert_valid_seg(to_seg(found, context, volume.geometry, created=CREATED), tmp_path)


def test_the_maker_of_the_brain_model_makes_no_report_invalid(tmp_path: Path) -> None:
    volume = source(slices=12, size=32)
    context, found = ReportContext.of(volume), segmentation(volume, stamp=MUENSTER)
    assert_valid_sr(to_sr(found, context, created=CREATED), tmp_path)
    assert_valid_seg(to_seg(found, context, volume.geometry, created=CREATED), tmp_path)
