"""Images in colour and with a palette become red, green and blue, for the models that ask for them, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    VLPhotographicImageStorage,
)

from core.errors import (
    ConstantPixels,
    ContradictoryPixels,
    InconsistentHeader,
    PixelsTooLarge,
    StudyError,
    UndecodablePixels,
    UnsupportedSeries,
)
from imaging.assemble import to_volume
from imaging.decode import stored_pixels
from imaging.instance import parse_instance
from imaging.pixel_limits import PixelLimits
from imaging.series import SeriesRule, choose_series
from imaging.summary import summarize
from tests.ct import ct_slice, encoded

Colours = npt.NDArray[np.uint8]
COLOURS: Colours = np.random.default_rng(0).integers(0, 256, (40, 36, 3)).astype(np.uint8)
RULE = SeriesRule(modalities=("XC",), colour=True)


def photograph(colours: Colours = COLOURS, **changes: Any) -> Dataset:
    """A picture of the skin: no position, no spacing."""
    absent = dict.fromkeys(
        ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness", "PixelSpacing",
         "RescaleSlope", "RescaleIntercept", "RescaleType")
    )  # fmt: skip
    kind = {"SOPClassUID": VLPhotographicImageStorage, "Modality": "XC", "BodyPartExamined": "SKIN"}
    made = ct_slice(0, pixels=colours[..., 0], **kind, **absent)
    made.PhotometricInterpretation, made.SamplesPerPixel, made.PlanarConfiguration = "RGB", 3, 0
    made.PixelData = colours.tobytes()
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def read(image: Dataset) -> npt.NDArray[Any]:
    """As a reader receives it."""
    return to_volume([parse_instance(encoded(image))]).voxels


def test_red_green_and_blue_stay_what_they_are() -> None:
    volume = to_volume([parse_instance(encoded(photograph()))])
    assert volume.is_colour
    np.testing.assert_array_equal(volume.voxels, COLOURS[None])
    assert "no length may be measured" in "; ".join(volume.notes)


def test_a_planar_image_is_the_same() -> None:
    planar = photograph(PlanarConfiguration=1, PixelData=COLOURS.transpose(2, 0, 1).tobytes())
    np.testing.assert_array_equal(read(planar), COLOURS[None])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_native_syntaxes_hold_the_same(syntax: UID) -> None:
    image = photograph()
    image.file_meta.TransferSyntaxUID = syntax
    image["PixelData"].VR = "OB" if syntax == ExplicitVRBigEndian else "OW"
    np.testing.assert_array_equal(read(image), COLOURS[None])


@pytest.mark.parametrize(
    ("syntax", "plugin", "photometric"),
    [
        (RLELossless, "pylibjpeg", "RGB"),
        (JPEGLSLossless, "pyjpegls", "RGB"),
        (JPEG2000Lossless, "pylibjpeg", "YBR_RCT"),
    ],
)
def test_compressed_colours_come_back_exactly(syntax: UID, plugin: str, photometric: str) -> None:
    image = photograph()
    if photometric != "RGB":
        image.PhotometricInterpretation = photometric
    image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    np.testing.assert_array_equal(read(image), COLOURS[None])


def test_luminance_and_chrominance_become_colours() -> None:
    ybr = convert_color_space(COLOURS, "RGB", "YBR_FULL")
    image = photograph(PhotometricInterpretation="YBR_FULL", PixelData=ybr.tobytes())
    assert np.abs(read(image)[0] - COLOURS.astype(int)).max() <= 2  # rounded twice


def test_halved_chrominance_is_doubled() -> None:
    """Two pixels are four bytes: Y Y Cb Cr."""
    ybr = convert_color_space(np.repeat(COLOURS[:, ::2], 2, axis=1), "RGB", "YBR_FULL")
    packed = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    image = photograph(PhotometricInterpretation="YBR_FULL_422", PixelData=packed.tobytes())
    expected = convert_color_space(ybr, "YBR_FULL", "RGB")
    np.testing.assert_array_equal(read(image), expected[None])


def palette(depth: int) -> Dataset:
    numbers = np.random.default_rng(1).integers(0, 256, (40, 36)).astype(np.uint8)
    image = photograph(PhotometricInterpretation="PALETTE COLOR", SamplesPerPixel=1)
    del image.PlanarConfiguration
    image.PixelData = numbers.tobytes()
    table = np.arange(256, dtype=np.uint16) * (257 if depth == 16 else 1)
    for part, values in (("Red", table), ("Green", table[::-1]), ("Blue", np.roll(table, 7))):
        setattr(image, f"{part}PaletteColorLookupTableDescriptor", [256, 0, depth])
        data = values.astype(np.uint16 if depth == 16 else np.uint8).tobytes()
        setattr(image, f"{part}PaletteColorLookupTableData", data)
    return image


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("syntax", [None, RLELossless])
def test_the_numbers_of_a_palette_become_its_colours(depth: int, syntax: UID | None) -> None:
    image = palette(depth)
    numbers = np.frombuffer(image.PixelData, np.uint8).reshape(40, 36).astype(int)
    if syntax:
        image.compress(syntax, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    expected = np.stack([numbers, 255 - numbers, (numbers - 7) % 256], axis=-1)
    np.testing.assert_array_equal(read(image), expected[None])


def test_a_broken_palette_is_damaged_pixels() -> None:
    image = palette(16)
    del image.RedPaletteColorLookupTableData
    with pytest.raises(UndecodablePixels, match="palette"):
        read(image)


# --- who reads it -------------------------------------------------------------------------------------


def test_only_a_model_that_reads_colours_gets_them() -> None:
    colour, grey = summarize("1", [photograph()]), summarize("2", [ct_slice(0, Modality="XC")])
    assert choose_series([colour, grey], RULE).refused == {"2": "it is not in colour"}
    assert choose_series([colour, grey], SeriesRule(("XC",))).refused == {"1": "it is in colour"}


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"SamplesPerPixel": 1}, InconsistentHeader),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, InconsistentHeader),
        ({"PhotometricInterpretation": "CMYK"}, UnsupportedSeries),
        ({"PixelRepresentation": 1}, UnsupportedSeries),
        ({"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}, UnsupportedSeries),
        ({"PixelData": COLOURS.tobytes()[:-2]}, UndecodablePixels),
        ({"PixelData": COLOURS.tobytes() + b"12"}, ContradictoryPixels),
        ({"PixelData": bytes(COLOURS.nbytes)}, ConstantPixels),
    ],
)
def test_what_contradicts_itself_or_is_unknown_is_refused(
    changes: dict[str, Any], error: type[StudyError]
) -> None:
    with pytest.raises(error):
        read(photograph(**changes))


def test_a_compressed_grey_image_that_calls_itself_colour_is_refused() -> None:
    grey = ct_slice(0, pixels=COLOURS[..., 0])
    grey.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    grey.PhotometricInterpretation, grey.SamplesPerPixel, grey.PlanarConfiguration = "RGB", 3, 0
    with pytest.raises(ContradictoryPixels):
        stored_pixels(grey)


def test_the_limits_count_each_colour() -> None:
    for image in (photograph(), palette(8)):
        with pytest.raises(PixelsTooLarge):
            to_volume([image], limits=PixelLimits(image_bytes=COLOURS.nbytes * 2 - 1))
        to_volume([image], limits=PixelLimits(image_bytes=COLOURS.nbytes * 2))


def test_grey_and_colour_in_one_series_are_refused() -> None:
    kind = {"Modality": "XC", "SOPClassUID": VLPhotographicImageStorage}
    grey = ct_slice(1, pixels=COLOURS[..., 0], **kind)
    with pytest.raises(UnsupportedSeries, match="in colour and in shades"):
        to_volume([photograph(), grey])


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb.dcm", "SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_ybr_full_uncompressed.dcm", "SC_ybr_full_422_uncompressed.dcm",
        "US1_J2KR.dcm", "US1_UNCR.dcm",
    ],
)  # fmt: skip
def test_the_samples_of_pydicom_are_read_as_pydicom_reads_them(name: str) -> None:
    path = str(get_testdata_file(name))
    with open(path, "rb") as file:
        read_here = stored_pixels(parse_instance(file.read()))
    expected = pydicom.dcmread(path).pixel_array
    assert np.abs(read_here.astype(int) - expected.astype(int)).max() <= 2
