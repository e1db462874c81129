from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, RLELossless

from core.errors import BrokenGeometry, StudyError, UndecodablePixels, UnsupportedSeries
from imaging.assemble import to_volume
from imaging.decode import stored_pixels
from imaging.instance import parse_instance
from tests.ct import PATIENT, ct_series, ct_slice, encoded, film


def pixels(*values: int, dtype: Any = np.int16) -> np.ndarray:
    return np.array(values, dtype).reshape(1, -1)


@given(order=st.permutations(range(5)))
@settings(max_examples=20)
def test_the_volume_does_not_depend_on_the_order_of_arrival(order: list[int]) -> None:
    expected, shuffled = to_volume(ct_series()), to_volume([ct_slice(index) for index in order])
    assert shuffled.voxels[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert shuffled.input_digest == expected.input_digest
    assert shuffled.instance_uids == expected.instance_uids


def test_geometry_is_slices_rows_columns_in_mm() -> None:
    geometry = to_volume(ct_series()).geometry
    assert geometry.spacing_mm == (2.5, 0.5, 0.75)
    assert geometry.origin_mm == (-10, -20, 0)
    assert (geometry.row_cosine, geometry.column_cosine) == ((1, 0, 0), (0, 1, 0))


@given(
    values=st.lists(st.integers(0, 65535), min_size=2, max_size=6, unique=True),
    slope=st.sampled_from([1, 2, -1, 0.5]),
    intercept=st.sampled_from([0, -1024, -40000, 0.25]),
)
def test_rescaling_is_exact_and_int16_only_when_nothing_is_lost(
    values: list[int], slope: float, intercept: float
) -> None:
    image = ct_slice(pixels=pixels(*values, dtype=np.uint16), RescaleSlope=slope, RescaleIntercept=intercept)
    voxels = to_volume([image]).voxels
    expected = np.array(values) * slope + intercept
    fits = (
        float(slope).is_integer() and float(intercept).is_integer() and np.abs(expected + 0.5).max() < 32768
    )
    np.testing.assert_array_equal(voxels.ravel(), expected)
    assert voxels.dtype == (np.int16 if fits else np.float32)


def test_each_slice_is_rescaled_by_its_own_slope() -> None:
    first = ct_slice(0, pixels=pixels(10, 11), RescaleSlope=2)
    second = ct_slice(1, pixels=pixels(10, 11), RescaleIntercept=-5)
    assert to_volume([first, second]).voxels.ravel().tolist() == [20, 22, 5, 6]


def test_bits_above_the_stored_ones_are_not_part_of_the_value() -> None:
    image = ct_slice(pixels=pixels(0x0123, 0xF123, 0x0456, dtype=np.uint16), BitsStored=12, HighBit=11)
    assert to_volume([image]).voxels.ravel().tolist() == [0x123, 0x123, 0x456]


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"PixelSpacing": [0.5, 0.8]}, "pixel spacings differ by 0.0500 mm"),
        ({"pixels": np.zeros((4, 6), np.int16)}, "images of 4 x 6 and 8 x 6 pixels"),
        ({"ImagePositionPatient": [-10, -20, 0]}, "1 of 5 slices lie at the position of another"),
        ({"ImagePositionPatient": None}, "1 of 5 slices have no position"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}, "different orientations"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1 and MONOCHROME2"),
        ({"PixelSpacing": [0, 0]}, "missing, or not above 0 mm"),
    ],
)
def test_one_odd_slice_is_named_exactly(odd: dict[str, Any], message: str) -> None:
    with pytest.raises(BrokenGeometry, match=message):
        to_volume([*ct_series(4), ct_slice(4, **odd)])


def test_a_localizer_inside_the_series_is_left_out() -> None:
    scout = ct_slice(
        9, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1]
    )
    assert to_volume([scout, *ct_series(3)]).voxels.shape[0] == 3


def test_a_film_needs_no_position_and_says_what_its_spacing_is_worth() -> None:
    assert to_volume([film()]).notes == ()
    at_detector = to_volume([film(PixelSpacing=None, ImagerPixelSpacing=[0.1, 0.1])])
    assert (at_detector.geometry.spacing_mm[1:], len(at_detector.notes)) == ((0.1, 0.1), 1)


def test_the_film_whose_pixel_spacing_is_zero_gets_one_millimetre_and_a_note() -> None:
    volume = to_volume([pydicom.dcmread(get_testdata_file("RG1_UNCR.dcm"))])
    assert volume.geometry.spacing_mm[1:] == (1.0, 1.0)
    assert "no length may be measured" in volume.notes[0]
    assert volume.inverted


def test_evidence_repeats_the_header_without_pixels_and_private_elements() -> None:
    image = ct_slice(0)
    image.private_block(0x0011, "VENDOR", create=True).add_new(0x01, "LO", "private")
    evidence = pydicom.dcmread(BytesIO(to_volume([image]).evidence))
    assert (evidence.PatientName, evidence.FrameOfReferenceUID) == (PATIENT, image.FrameOfReferenceUID)
    assert "PixelData" not in evidence
    assert not any(element.tag.is_private for element in evidence)


def test_the_digest_follows_the_voxels_and_not_the_transfer_syntax() -> None:
    plain = ct_slice(0, pixels=np.arange(64, dtype=np.int16).reshape(8, 8))
    compressed = parse_instance(encoded(plain))
    compressed.compress(RLELossless, generate_instance_uid=False)
    other = ct_slice(0, pixels=np.arange(1, 65, dtype=np.int16).reshape(8, 8))
    assert to_volume([compressed]).input_digest == to_volume([plain]).input_digest
    assert to_volume([other]).input_digest != to_volume([plain]).input_digest


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "image_dfl.dcm", "JPGExtended.dcm",
        "JPEG-LL.dcm", "693_J2KR.dcm", "693_UNCR.dcm", "JPEGLSNearLossless_16.dcm",
    ],
)  # fmt: skip
def test_common_transfer_syntaxes_decode_to_what_pydicom_says(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    dataset = parse_instance(path.read_bytes())
    np.testing.assert_array_equal(stored_pixels(dataset), pydicom.dcmread(path).pixel_array)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"PhotometricInterpretation": "CMYK"}, UnsupportedSeries, "colour"),
        ({"NumberOfFrames": 3}, UnsupportedSeries, "multi-frame"),
        ({"PixelData": None}, UndecodablePixels, "no pixel data"),
        ({"PixelData": b"\0\0"}, UndecodablePixels, "2 of the 96 pixel bytes"),
    ],
)
def test_what_cannot_be_read_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        to_volume([ct_slice(0, **changes)])


def broken_header(keyword: str, value: bytes) -> Dataset:
    """As it comes off the wire: pydicom would not write such a value."""
    plain = encoded(ct_slice(0, **{keyword: "9" * len(value)}))
    return parse_instance(plain.replace(b"9" * len(value), value))


def test_errors_and_logs_never_carry_a_tag_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StudyError) as caught:
        to_volume([broken_header("SliceThickness", b"SECRET^NAMES")])
    assert "SECRET" not in str(caught.value) + caplog.text
    assert caught.value.__suppress_context__


def test_an_average_of_heads_may_have_an_empty_image_between_others() -> None:
    """As the sample Colin27 has; a CT may not."""
    images = ct_series(5, Modality="MR", SOPClassUID=MRImageStorage)
    images[2].PixelData = bytes(len(images[2].PixelData))
    assert to_volume(images).notes == ("1 of 5 images hold one value throughout",)
