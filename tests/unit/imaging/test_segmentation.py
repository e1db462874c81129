"""A mask comes back from the SEG voxel by voxel, at its place, in the same bytes each time."""

from __future__ import annotations

from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ModelFailed
from imaging.encoded import to_part10
from imaging.finding import ModelStamp
from imaging.report_sr import ReportContext
from imaging.segmentation import to_seg
from tests.reports import BRAIN, CREATED, segmentation, source

CT = source(slices=6)
CONTEXT = ReportContext.of(CT)


def stored(mask: np.ndarray | None = None, context: ReportContext = CONTEXT) -> pydicom.Dataset:
    said = segmentation(CT) if mask is None else segmentation(CT, mask=mask)
    return pydicom.dcmread(BytesIO(to_part10(to_seg(said, context, CT.geometry, created=CREATED))))


def frames_by_image(document: pydicom.Dataset) -> dict[str, np.ndarray]:
    """Each frame by the image that it names as its source."""
    groups = document.PerFrameFunctionalGroupsSequence
    frames = document.pixel_array.reshape(len(groups), document.Rows, document.Columns)
    named = [group.DerivationImageSequence[0].SourceImageSequence[0] for group in groups]
    return {str(image.ReferencedSOPInstanceUID): frame for image, frame in zip(named, frames, strict=True)}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(*(st.integers(0, n - 1) for n in CT.voxels.shape)), min_size=1, max_size=9))
def test_any_mask_comes_back_voxel_by_voxel(voxels: list[tuple[int, int, int]]) -> None:
    mask = np.zeros(CT.voxels.shape, bool)
    mask[tuple(zip(*voxels, strict=True))] = True
    frames = frames_by_image(stored(mask))
    for uid, plane in zip(CT.instance_uids, mask, strict=True):
        assert (uid in frames) == plane.any()
        np.testing.assert_array_equal(frames.get(uid, np.zeros_like(plane)), plane)


def test_each_frame_lies_where_its_slice_lies() -> None:
    document = stored()
    heights = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        for group in document.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(heights) == [5.0, 10.0]


def test_the_segment_names_its_structure_and_its_algorithm() -> None:
    (segment,) = stored().SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == BRAIN.value
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("ich-triage", "3")


def test_a_retry_gives_the_same_bytes() -> None:
    said = segmentation(CT)
    assert len({to_part10(to_seg(said, CONTEXT, CT.geometry, created=CREATED)) for _ in range(3)}) == 1


def test_it_is_known_as_ours_and_says_research() -> None:
    stamp = ModelStamp("brain", "1", "d", "m", research_only=True)
    document = to_seg(segmentation(CT, stamp=stamp), CONTEXT, CT.geometry, created=CREATED)
    assert document.Manufacturer == "Serinus"
    assert document.SeriesDescription.startswith("RESEARCH ONLY")
    assert document.StudyInstanceUID == pydicom.dcmread(BytesIO(CONTEXT.evidence)).StudyInstanceUID


def test_a_source_without_a_frame_of_reference_can_be_segmented() -> None:
    document = stored(context=ReportContext.of(source(slices=6, FrameOfReferenceUID=None)))
    assert pydicom.uid.UID(document.FrameOfReferenceUID).is_valid


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (None, "no mask"),
        (np.ones((5, 16, 16), bool), "one plane for each image"),
    ],
)
def test_what_is_no_mask_of_the_series_is_refused(mask: np.ndarray | None, reason: str) -> None:
    with pytest.raises(ModelFailed, match=reason):
        to_seg(segmentation(CT, mask=mask), CONTEXT, CT.geometry, created=CREATED)


def test_nothing_found_is_one_empty_plane() -> None:
    frames = frames_by_image(stored(np.zeros(CT.voxels.shape, bool)))
    assert len(frames) == 1
    assert not any(frame.any() for frame in frames.values())


def test_another_library_reads_it_as_one_volume() -> None:
    volume = hd.seg.Segmentation.from_dataset(stored()).get_volume(segment_numbers=[1])
    assert int(volume.array.sum()) == int(segmentation(CT).mask.sum())
