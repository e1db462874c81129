"""A report on frames names them: the object by its UID, once, and the frame by its number (PS3.3 10.3)."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from core.errors import ModelFailed
from imaging.report_content import content_of
from imaging.report_form import ContentForms, built_content
from imaging.report_frame import ReportContext, read_header
from imaging.segmentation import to_seg
from tests.reports import (
    CREATED,
    classification,
    enhanced_source,
    finding,
    items,
    localisation,
    prediction,
    report,
    segmentation,
    stored,
)

CT = enhanced_source()
CONTEXT = ReportContext.of(CT)
OBJECT = CT.instance_uids[0]


def referred(document: Dataset) -> list[tuple[str, int]]:
    """Every image that the content points at."""
    return [
        (reference.ReferencedSOPInstanceUID, int(reference.ReferencedFrameNumber))
        for item in items(document)
        for reference in item.get("ReferencedSOPSequence", [])
    ]


def test_a_finding_points_at_its_frame() -> None:
    document = stored(report(classification(CT), CONTEXT))
    assert referred(document) == [(OBJECT, 3), (OBJECT, 3)]  # in the image library, and in the finding


def test_a_box_lies_on_its_frame() -> None:
    document = stored(report(localisation(CT), CONTEXT))
    assert set(referred(document)) == {(OBJECT, 1)}


def test_the_object_is_named_once_as_evidence() -> None:
    document = stored(report(classification(CT), CONTEXT))
    (series,) = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [OBJECT]


@pytest.mark.parametrize("frame", [0, 6, None])
def test_a_frame_that_was_not_read_cannot_be_pointed_at(frame: int | None) -> None:
    found = finding(key_instance_uid=OBJECT, key_frame=frame)
    with pytest.raises(ModelFailed, match="not of the series"):
        report(prediction(CT, findings=(found,)), CONTEXT)


def test_a_form_is_filled_with_another_frame_as_if_it_were_built() -> None:
    forms, header = ContentForms(), read_header(CONTEXT)
    for frame in (1, 4, 2):
        (found,) = classification(CT).findings
        said = classification(CT, findings=(replace(found, key_frame=frame),))
        assert forms.content(said, CONTEXT, header).value == (
            built_content(content_of(said, CONTEXT, header)).value
        )
    assert forms.kinds == 1


def test_a_segment_names_the_frame_under_each_of_its_own() -> None:
    document = stored(to_seg(segmentation(CT), CONTEXT, CT.geometry, created=CREATED))
    sources = {
        float(groups.PlanePositionSequence[0].ImagePositionPatient[2]): source
        for groups in document.PerFrameFunctionalGroupsSequence
        for derivation in groups.DerivationImageSequence
        for source in derivation.SourceImageSequence
    }
    assert {
        z: (item.ReferencedSOPInstanceUID, item.ReferencedFrameNumber) for z, item in sources.items()
    } == {
        5.0: (OBJECT, 2),
        10.0: (OBJECT, 3),
    }
    assert {item.ReferencedSOPClassUID for item in sources.values()} == {EnhancedCTImageStorage}
    (series,) = document.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [OBJECT]


def test_another_library_finds_the_mask_by_the_frames_of_its_source() -> None:
    said = segmentation(CT)
    assert said.mask is not None
    said.mask[1, 0, 0] = True  # so that its planes differ
    document = hd.seg.Segmentation.from_dataset(
        stored(to_seg(said, CONTEXT, CT.geometry, created=CREATED)), copy=False
    )
    masks = document.get_pixels_by_source_frame(OBJECT, source_frame_numbers=[2, 3], combine_segments=True)
    np.testing.assert_array_equal(masks.astype(bool), said.mask[1:3])
