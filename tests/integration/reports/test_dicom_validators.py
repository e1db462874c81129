"""`dciodvfy` and `dsrdump` find no error in anything that we would store in a PACS."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.encoded import to_part10
from imaging.finding import ModelStamp
from imaging.report_sr import FormerReport, ReportContext, to_failure_sr, to_sr
from imaging.segmentation import to_seg
from tests.reports import (
    CREATED,
    STAMP,
    classification,
    enhanced_source,
    film_source,
    localisation,
    prediction,
    segmentation,
    source,
)
from tests.sr_tree import deviations
from tests.validators import DCIODVFY, assert_valid_seg, assert_valid_sr, run, written

CT = source(slices=12, size=32)
CONTEXT = ReportContext.of(CT)
RESEARCH = ModelStamp("brain-volume", "1", "ef" * 32, "Demo maker", research_only=True)


REPORTS = {
    "classification": classification(CT),
    "classification of a research version": classification(CT, stamp=RESEARCH),
    "segmentation": segmentation(CT),
    "localisation": localisation(CT),
    "nothing at all": prediction(CT, notes=("pixel spacing is unknown",)),
}


@pytest.mark.parametrize("said", REPORTS.values(), ids=REPORTS.keys())
def test_both_validators_accept_a_report(said, tmp_path: Path) -> None:
    assert_valid_sr(to_sr(said, CONTEXT, created=CREATED), tmp_path)


def test_both_validators_accept_a_failure(tmp_path: Path) -> None:
    document = to_failure_sr(STAMP, CONTEXT, reason="too few slices", created=CREATED)
    assert_valid_sr(document, tmp_path)


def test_both_validators_accept_a_report_that_supersedes_another(tmp_path: Path) -> None:
    former = to_sr(classification(CT, stamp=RESEARCH), CONTEXT, created=CREATED)
    predecessor = FormerReport.of(to_part10(former)).name
    document = to_sr(classification(CT), CONTEXT, created=CREATED, predecessors=[predecessor])
    assert_valid_sr(document, tmp_path)
    assert deviations(document) == []


def test_both_validators_accept_a_report_on_a_film(tmp_path: Path) -> None:
    film = film_source()
    document = to_sr(localisation(film), ReportContext.of(film), created=CREATED)
    assert_valid_sr(document, tmp_path)


@pytest.mark.parametrize("say", [classification, localisation])
def test_both_validators_accept_a_report_on_frames(say, tmp_path: Path) -> None:
    frames = enhanced_source()
    assert_valid_sr(to_sr(say(frames), ReportContext.of(frames), created=CREATED), tmp_path)


def test_dciodvfy_accepts_a_segmentation_of_frames(tmp_path: Path) -> None:
    frames = enhanced_source(slices=12, size=32)
    document = to_seg(segmentation(frames), ReportContext.of(frames), frames.geometry, created=CREATED)
    assert_valid_seg(document, tmp_path)


@pytest.mark.parametrize(
    "said", [segmentation(CT), segmentation(CT, stamp=RESEARCH)], ids=["cleared", "research"]
)
def test_dciodvfy_accepts_a_segmentation(said, tmp_path: Path) -> None:
    assert_valid_seg(to_seg(said, CONTEXT, CT.geometry, created=CREATED), tmp_path)


def test_dciodvfy_would_notice(tmp_path: Path) -> None:
    document = to_sr(classification(CT), CONTEXT, created=CREATED)
    document.VerificationFlag = "VERIFIED"  # without an observer
    code, text = run(DCIODVFY, written(document, tmp_path))
    assert code != 0, text


def test_dsrdump_would_notice(tmp_path: Path) -> None:
    document = to_sr(classification(CT), CONTEXT, created=CREATED)
    document.ContentSequence[0].RelationshipType = "CONTAINED"
    code, text = run("dsrdump", written(document, tmp_path))
    assert code != 0, text
