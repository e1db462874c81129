"""An enhanced multi-frame CT or MR is read as the same images one by one would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from core.errors import (
    BrokenGeometry,
    ConstantPixels,
    InvalidRescale,
    PixelsTooLarge,
    StudyError,
    UndecodablePixels,
    UnsupportedSeries,
)
from imaging.archive import StudyInstances
from imaging.assemble import to_volume
from imaging.content_digest import content_digest
from imaging.enhanced import MOST_FRAMES, frames_of
from imaging.inflate import inflate_image
from imaging.intake import read_object, to_study
from imaging.patient_facts import patient_facts
from imaging.pixel_limits import PixelLimits
from imaging.series import Plane, SeriesHeader
from imaging.summary import readable_images, summarize_study
from imaging.volume import Volume
from tests.ct import SERIES, ct_series, ct_slice, encoded
from tests.enhanced import dimension, enhanced, item

COUNT = 6
FRAME_BYTES = 2 * 40 * 36


def heads(count: int = COUNT, **changes: Any) -> list[Dataset]:
    rng = np.random.default_rng(0)
    planes = rng.integers(-1000, 1000, (count, 40, 36)).astype(np.int16)
    return [ct_slice(index, pixels=plane, **changes) for index, plane in enumerate(planes)]


def study(*parts: bytes) -> StudyInstances:
    return to_study([read_object(part, inflate_image) for part in parts], sum(map(len, parts)))


def images_of(*wholes: Dataset) -> tuple[Dataset, ...]:
    return study(*map(encoded, wholes)).series[SERIES]


def volume_of(*wholes: Dataset, **options: Any) -> Volume:
    return to_volume(images_of(*wholes), **options)


def header_of(whole: Dataset) -> SeriesHeader:
    (header,) = summarize_study(study(encoded(whole)).series)
    return header


def assert_same(read: Volume, legacy: Volume) -> None:
    np.testing.assert_array_equal(read.voxels, legacy.voxels)
    assert read.voxels.dtype == legacy.voxels.dtype
    assert read.geometry == legacy.geometry
    assert (read.modality, read.body_part, read.inverted) == (
        legacy.modality,
        legacy.body_part,
        legacy.inverted,
    )


# --- the same as single images ------------------------------------------------------------------------


def test_the_volume_is_that_of_the_same_images_one_by_one() -> None:
    images = heads(RescaleIntercept=-1024, RescaleSlope=2)
    read = volume_of(enhanced(images))
    assert_same(read, to_volume(images))
    assert set(read.instance_uids) == {SERIES + ".777"}
    assert read.frame_numbers == (1, 2, 3, 4, 5, 6)


def test_frames_in_any_order_are_sorted_by_their_position() -> None:
    images = heads()
    stored = [images[index] for index in (3, 0, 5, 1, 4, 2)]
    read = volume_of(enhanced(stored))
    assert_same(read, to_volume(images))
    assert read.frame_numbers == (2, 4, 6, 1, 5, 3)


def test_each_frame_is_rescaled_by_its_own_slope() -> None:
    images = heads()
    for index, image in enumerate(images):
        image.RescaleSlope, image.RescaleIntercept = 1 + index % 2, -10 * index
    assert_same(volume_of(enhanced(images)), to_volume(images))


def test_an_enhanced_mr_is_read_too() -> None:
    images = heads(SOPClassUID=MRImageStorage, Modality="MR", RescaleType="US")
    assert_same(volume_of(enhanced(images)), to_volume(images))


def test_what_highdicom_converts_is_read_as_before() -> None:
    legacy = heads(PositionReferenceIndicator="", KVP=120, ContrastBolusAgent="")
    converted = LegacyConvertedEnhancedCTImage(legacy, SERIES, 1, generate_uid(), 1)
    assert_same(volume_of(converted), to_volume(legacy))


def test_a_large_object_may_come_in_several_parts() -> None:
    images = heads()
    parts = [enhanced(images[:4]), enhanced(images[4:], SOPInstanceUID=SERIES + ".778")]
    read = volume_of(*parts)
    assert_same(read, to_volume(images))
    assert read.frame_numbers == (1, 2, 3, 4, 1, 2)
    assert read.instance_uids[-1] == SERIES + ".778"


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_native_syntax_holds_the_same_frames(syntax: UID) -> None:
    images = heads()
    whole = enhanced(images)
    whole.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        whole.PixelData = np.frombuffer(whole.PixelData, "<i2").astype(">i2").tobytes()
    read = volume_of(whole)
    assert_same(read, to_volume(images))
    assert read.input_digest == volume_of(enhanced(images)).input_digest


def test_odd_frames_of_eight_bits_follow_each_other_without_padding() -> None:
    planes = np.random.default_rng(1).integers(0, 255, (5, 5, 3)).astype(np.uint8)
    images = [ct_slice(index, pixels=plane) for index, plane in enumerate(planes)]
    whole = enhanced(images)
    whole.PixelData = planes.tobytes() + b"\0"
    native = volume_of(whole)
    np.testing.assert_array_equal(native.voxels, planes)
    compress(whole, RLELossless)
    assert volume_of(whole).input_digest == native.input_digest


# --- compressed frames --------------------------------------------------------------------------------


def compress(whole: Dataset, syntax: str) -> None:
    plugin = "pyjpegls" if syntax == JPEGLSLossless else "pylibjpeg"
    whole.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)


def compressed(syntax: str, pack: Callable[[list[bytes], Dataset], None] | None = None) -> Dataset:
    """`pack` encapsulates the frames in another way."""
    whole = enhanced(heads())
    compress(whole, syntax)
    if pack is not None:
        frames = list(generate_frames(whole.PixelData, number_of_frames=COUNT))
        pack(frames, whole)
        whole["PixelData"].is_undefined_length = True
    return whole


def _without_table(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = encapsulate(frames, has_bot=False)


def _fragmented(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=True)


def _fragmented_without_table(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = encapsulate(frames, fragments_per_frame=2, has_bot=False)


def _extended(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData, whole.ExtendedOffsetTable, whole.ExtendedOffsetTableLengths = encapsulate_extended(
        frames
    )


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("pack", [None, _without_table, _fragmented, _extended])
def test_compressed_frames_are_told_apart_by_every_table(syntax: str, pack: Any) -> None:
    if syntax == RLELossless and pack is _fragmented:
        pack = None  # a frame of RLE is one fragment (PS3.5 A.4.2)
    read = volume_of(compressed(syntax, pack))
    assert_same(read, to_volume(heads()))
    assert read.input_digest == volume_of(enhanced(heads())).input_digest


def test_fragments_without_a_table_are_told_apart_by_their_ends() -> None:
    read = volume_of(compressed(JPEGLSLossless, _fragmented_without_table))
    np.testing.assert_array_equal(read.voxels, to_volume(heads()).voxels)


def _one_too_few(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = encapsulate(frames[:-1], has_bot=True)


def _one_too_many(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = encapsulate([*frames, frames[0]], has_bot=True)


def _overlapping(frames: list[bytes], whole: Dataset) -> None:
    """Each frame is all of the object: a few megabytes would become gigabytes."""
    whole.PixelData, offsets, lengths = encapsulate_extended(frames)
    whole.ExtendedOffsetTable = offsets[:8] * COUNT
    size = len(whole.PixelData) - 16
    whole.ExtendedOffsetTableLengths = size.to_bytes(8, "little") * COUNT
    assert len(lengths) == 8 * COUNT


def _no_items(frames: list[bytes], whole: Dataset) -> None:
    whole.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0" + b"junk" * 8


@pytest.mark.parametrize("pack", [_one_too_few, _one_too_many, _overlapping, _no_items])
def test_frames_that_cannot_be_told_apart_are_damaged_pixels(pack: Any) -> None:
    with pytest.raises(UndecodablePixels):
        to_volume(frames_of(compressed(JPEGLSLossless, pack)))


# --- what is refused ----------------------------------------------------------------------------------


def test_native_pixels_that_are_cut_or_too_long_are_told() -> None:
    for size in (-10, 10):
        whole = enhanced(heads())
        whole.PixelData = whole.PixelData[:size] if size < 0 else whole.PixelData + bytes(size)
        with pytest.raises(UndecodablePixels):
            volume_of(whole)


def test_the_geometry_rules_are_those_of_single_images() -> None:
    gap = heads()
    gap[5].ImagePositionPatient = [-10, -20, 99]
    with pytest.raises(BrokenGeometry, match="slice distance"):
        volume_of(enhanced(gap))
    tilted = heads()
    for index, image in enumerate(tilted):
        image.ImagePositionPatient = [-10, -20 + index, 2.5 * index]
    with pytest.raises(BrokenGeometry, match="tilt"):
        volume_of(enhanced(tilted))
    twice = heads()
    twice[3].ImagePositionPatient = twice[2].ImagePositionPatient
    with pytest.raises(BrokenGeometry, match="position of another slice"):
        volume_of(enhanced(twice, lambda whole, groups: delattr(whole, "DimensionIndexSequence")))


def test_a_frame_without_position_or_with_a_blank_one_is_refused() -> None:
    with pytest.raises(BrokenGeometry, match="1 of 6 slices have no position"):
        volume_of(enhanced(heads(), lambda whole, groups: delattr(groups[2], "PlanePositionSequence")))


def test_a_value_beside_the_functional_groups_stands_for_none_of_them() -> None:
    whole = enhanced(heads(), RescaleSlope=3, RescaleIntercept=0, PixelSpacing=[9, 9])
    for groups in whole.PerFrameFunctionalGroupsSequence:
        del groups.PixelValueTransformationSequence
    with pytest.raises(InvalidRescale):
        volume_of(whole)


def test_constant_frames_are_refused_as_constant_images_are() -> None:
    whole = enhanced(heads())
    whole.PixelData = bytes(len(whole.PixelData))
    with pytest.raises(ConstantPixels):
        volume_of(whole)


def test_the_limit_of_a_study_holds_over_all_frames_before_one_is_decoded() -> None:
    whole = compressed(RLELossless, lambda frames, whole: setattr(whole, "PixelData", b""))
    with pytest.raises(PixelsTooLarge, match="the images decode"):
        to_volume(frames_of(whole), limits=PixelLimits(FRAME_BYTES, COUNT * FRAME_BYTES - 1))
    with pytest.raises(PixelsTooLarge, match="an image decodes"):
        to_volume(frames_of(whole), limits=PixelLimits(FRAME_BYTES - 1, 10**6))


def _echoes(whole: Dataset, groups: Sequence[Dataset]) -> None:
    whole.DimensionIndexSequence = [dimension("StackID"), dimension("EffectiveEchoTime")]
    for number, group in enumerate(groups):
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, number // 2]
        group.FrameContentSequence[0].DimensionIndexValues = [1, 1 + number % 2]


def _phases(whole: Dataset, groups: Sequence[Dataset]) -> None:
    _echoes(whole, groups)
    whole.DimensionIndexSequence[1].DimensionIndexPointer = 0x20011001


def _kinds(whole: Dataset, groups: Sequence[Dataset]) -> None:
    del whole.DimensionIndexSequence
    for number, group in enumerate(groups):
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, number // 2]
        kind = ["ORIGINAL", "PRIMARY", "VOLUME", ("NONE", "MAXIMUM")[number % 2]]
        group.CTImageFrameTypeSequence = [item(FrameType=kind)]


def _stacks(whole: Dataset, groups: Sequence[Dataset]) -> None:
    for number, group in enumerate(groups):
        group.FrameContentSequence[0].StackID = str(number // 3)


def _fewer_groups(whole: Dataset, groups: Sequence[Dataset]) -> None:
    del whole.PerFrameFunctionalGroupsSequence[-1]


def _other_kind(whole: Dataset, groups: Sequence[Dataset]) -> None:
    whole.SOPClassUID = "1.2.840.10008.5.1.4.1.1.130"  # enhanced PET


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_echoes, "it holds several volumes, which differ in EffectiveEchoTime"),
        (_phases, "it holds several volumes, which differ in a private dimension"),
        (_kinds, "it holds several volumes, which differ in FrameType"),
        (_stacks, "its frames are of 2 stacks"),
        (_fewer_groups, "it does not have one functional group for each frame"),
        (_other_kind, "multi-frame images of its kind are not supported"),
    ],
)
def test_what_is_not_one_volume_is_no_eligible_series_and_says_why(change: Any, reason: str) -> None:
    whole = enhanced(heads(), change)
    assert header_of(whole).obstacle == reason
    with pytest.raises(UnsupportedSeries):
        volume_of(whole)


def test_more_frames_than_any_stack_has_are_not_unfolded() -> None:
    assert header_of(enhanced(heads(), NumberOfFrames=MOST_FRAMES + 1)).obstacle == (
        f"it has more than {MOST_FRAMES} frames"
    )


def test_several_frames_without_functional_groups_are_refused() -> None:
    images = [ct_slice(0, NumberOfFrames=2)]
    assert header_of(images[0]).obstacle == "multi-frame images of its kind are not supported"
    with pytest.raises(UnsupportedSeries):
        to_volume(images)


def test_single_images_and_frames_in_one_series_are_refused() -> None:
    with pytest.raises(UnsupportedSeries, match="single-frame and multi-frame"):
        volume_of(enhanced(heads(4)), *heads()[4:])


def test_an_object_that_cannot_be_unfolded_leaves_other_series_readable() -> None:
    broken = enhanced(heads(), _echoes, SeriesInstanceUID=SERIES + ".5", SOPInstanceUID=SERIES + ".5.1")
    found = study(*map(encoded, ct_series()), encoded(broken))
    assert [(header.slices, bool(header.obstacle)) for header in summarize_study(found.series)] == [
        (5, False),
        (1, True),
    ]


# --- what a study tells -------------------------------------------------------------------------------


def test_an_enhanced_series_is_described_by_its_frames() -> None:
    header = header_of(enhanced(heads()))
    assert (header.modality, header.body_part, header.plane) == ("CT", "HEAD", Plane.AXIAL)
    assert (header.slices, header.thickness_mm, header.obstacle) == (COUNT, 2.5, None)


def test_a_region_without_a_term_is_no_head() -> None:
    def foot(whole: Dataset, groups: Sequence[Dataset]) -> None:
        anatomy = whole.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0]
        anatomy.AnatomicRegionSequence[0].CodeValue = "56459004"

    assert header_of(enhanced(heads(), foot)).body_part == "OTHER"


def test_localizer_frames_are_left_out() -> None:
    def first_is_localizer(whole: Dataset, groups: Sequence[Dataset]) -> None:
        groups[0].CTImageFrameTypeSequence = [item(FrameType=["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"])]

    whole = enhanced(heads(), first_is_localizer)
    assert header_of(whole).slices == COUNT - 1
    assert volume_of(whole).frame_numbers == (2, 3, 4, 5, 6)


def facts_of(whole: Dataset) -> Any:
    images = images_of(whole)
    return patient_facts(readable_images(images), to_volume(images))


@pytest.mark.parametrize(("given", "contrast"), [("YES", True), ("NO", False)])
def test_contrast_counts_where_a_frame_does_not_say_that_none_was_given_yet(
    given: str, contrast: bool
) -> None:
    agent = item(ContrastBolusAgentNumber=1)

    def usage(whole: Dataset, groups: Sequence[Dataset]) -> None:
        for group in groups:
            group.ContrastBolusUsageSequence = [
                item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered=given)
            ]

    assert facts_of(enhanced(heads(), usage, ContrastBolusAgentSequence=[agent])).has_contrast is contrast
    assert facts_of(enhanced(heads(), ContrastBolusAgentSequence=[agent])).has_contrast


def test_what_the_object_says_of_all_its_frames_counts() -> None:
    whole = enhanced(heads(), BodyPartExamined="CHEST", ContrastBolusAgent="Iohexol")
    assert header_of(whole).body_part == "CHEST"
    assert facts_of(whole).has_contrast


def test_the_contrast_of_converted_images_is_found() -> None:
    def converted(whole: Dataset, groups: Sequence[Dataset]) -> None:
        shared = whole.SharedFunctionalGroupsSequence[0]
        shared.UnassignedSharedConvertedAttributesSequence = [item(ContrastBolusAgent="Iohexol")]

    assert facts_of(enhanced(heads(), converted)).has_contrast


def test_the_content_digest_knows_what_differs_by_frame() -> None:
    def digest(whole: Dataset) -> str:
        images = images_of(whole)
        return content_digest(images, to_volume(images))

    images = heads()
    same = digest(enhanced(images))
    assert digest(enhanced(images)) == same
    images[3].RescaleIntercept = 7
    assert digest(enhanced(images)) != same


def test_a_damaged_position_is_a_study_error_and_no_crash() -> None:
    whole = encoded(enhanced(heads()))
    damaged = whole.replace(b"\\2.5", b"\\no!")
    assert damaged != whole
    with pytest.raises(StudyError):
        to_volume(study(damaged).series[SERIES])


# --- real scanners' files -----------------------------------------------------------------------------


def test_an_mr_that_lost_its_functional_groups_is_refused() -> None:
    """pydicom's own sample was made small by taking them away."""
    whole = pydicom.dcmread(str(get_testdata_file("emri_small.dcm")))
    (header,) = summarize_study({"1.2": (whole,)})
    assert header.obstacle == "it does not have one functional group for each frame"


def test_the_perfusion_map_of_pydicom_is_unfolded_and_its_unit_refused() -> None:
    """A real enhanced CT whose frames are a map of blood flow: its region is told, and its values are not HU."""
    found = study(Path(str(get_testdata_file("eCT_Supplemental.dcm"))).read_bytes())
    (header,) = summarize_study(found.series)
    assert (header.modality, header.body_part, header.slices, header.obstacle) == ("CT", "BRAIN", 2, None)
    with pytest.raises(InvalidRescale, match="another unit than HU"):
        to_volume(found.series[header.series_uid])
