"""How an image's pixels lie in its bytes, as its header says, and whether that can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.errors import ContradictoryPixels, InconsistentHeader, UndecodablePixels, UnsupportedSeries
from imaging.colour import COLOURS, HALVED, PALETTE
from imaging.elements import text

MONOCHROME: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
LAYOUT_TAGS: Final = (
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration",
)  # fmt: skip
"""What `pixel_layout` reads: images of one transfer syntax that agree on these share their layout."""

_LITTLE_ENDIAN: Final = frozenset(
    {ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian}
)
NATIVE: Final = _LITTLE_ENDIAN | {ExplicitVRBigEndian}
_DTYPES: Final = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}
_ALLOCATED: Final = frozenset({1, 8, 16, 32})
_VOXEL_BYTES: Final = 2  # of a volume, at least


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Bits as PS3.5 8.1.1 defines them. `dtype` is that of values that fill their bytes, else None.

    `samples` is 3 for colours and 1 for shades or the numbers of a palette; `is_planar`: colour by colour.
    """

    syntax: str
    photometric: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    dtype: str | None
    samples: int = 1
    is_planar: bool = False

    @property
    def is_colour(self) -> bool:
        return self.photometric not in MONOCHROME

    @property
    def declared_bytes(self) -> int:
        """Of the uncompressed pixels, without the byte that pads them to an even length."""
        samples = 2 if self.photometric == HALVED else self.samples
        return -(-self.rows * self.columns * samples * self.bits_allocated // 8)

    @property
    def decoded_bytes(self) -> int:
        """Of the image in memory, once decoded."""
        parts = 3 if self.is_colour else 1
        return self.rows * self.columns * parts * max(_VOXEL_BYTES, self.bits_allocated // 8)

    @property
    def is_native(self) -> bool:
        return self.syntax in NATIVE

    def check_length(self, actual: int) -> None:
        """Raises UndecodablePixels for too few uncompressed bytes, ContradictoryPixels for too many."""
        declared = self.declared_bytes
        if actual < declared:
            raise UndecodablePixels(
                f"an image has {actual} of the {declared} pixel bytes its header declares"
            )
        if actual > declared + declared % 2:
            raise ContradictoryPixels(
                f"an image has {actual} pixel bytes, and its header declares {declared}"
            )


def pixel_layout(dataset: Dataset) -> PixelLayout:
    """The layout of a single-frame image.

    Raises UnsupportedSeries (several frames, unknown or deep colour) and InconsistentHeader. On values that are
    missing or of another type it raises what pydicom raises.
    """
    if int(dataset.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UnsupportedSeries(
            "multi-frame images are read by their frames, and the frames of one cannot be"
        )
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in MONOCHROME | COLOURS:
        raise UnsupportedSeries("images in this kind of colour are not supported")
    syntax = transfer_syntax(dataset)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    sign = int(dataset.PixelRepresentation)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    fills_bytes = syntax in _LITTLE_ENDIAN and stored == allocated and samples == 1
    layout = PixelLayout(
        syntax=syntax,
        photometric=photometric,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=sign == 1,
        dtype=_DTYPES.get((allocated, sign)) if fills_bytes else None,
        samples=samples,
        is_planar=samples > 1 and dataset.get("PlanarConfiguration") == 1,
    )
    _check(layout, sign, int(dataset.get("HighBit", stored - 1)))
    _check_colour(layout)
    return layout


def _check(layout: PixelLayout, sign: int, high_bit: int) -> None:
    """An image of nothing, bits that do not fit, or samples of a colour image that calls itself monochrome."""
    allocated, stored = layout.bits_allocated, layout.bits_stored
    if not (layout.rows > 0 and layout.columns > 0):
        raise InconsistentHeader("an image has no rows or no columns")
    if layout.samples != 1 and not layout.is_colour:
        raise InconsistentHeader("a monochrome image has several samples per pixel")
    if allocated not in _ALLOCATED or not 1 <= stored <= allocated or sign not in (0, 1):
        raise InconsistentHeader(f"{stored} bits cannot be stored in {allocated}, or their sign is unknown")
    if high_bit != stored - 1:
        raise InconsistentHeader(f"the high bit of {stored} stored bits is said to be bit {high_bit}")


def _check_colour(layout: PixelLayout) -> None:
    if not layout.is_colour:
        return
    is_palette = layout.photometric == PALETTE
    if layout.samples != (1 if is_palette else 3):
        raise InconsistentHeader("an image in colour does not have one sample for each of its parts")
    deepest = 16 if is_palette else 8
    if (
        layout.is_signed
        or layout.bits_allocated > deepest
        or (layout.samples == 3 and layout.bits_stored != 8)
    ):
        raise UnsupportedSeries("colours of other than 8 bits are not supported")


def transfer_syntax(dataset: Dataset) -> str:
    """The transfer syntax the pixels came in; blank when the dataset never was a file."""
    meta = getattr(dataset, "file_meta", None)
    return "" if meta is None else text(meta, "TransferSyntaxUID")
