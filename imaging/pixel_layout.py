"""How an image's pixels lie in its bytes, as its header says, and whether that can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from core.errors import ContradictoryPixels, InconsistentHeader, UndecodablePixels, UnsupportedSeries
from imaging.elements import text

MONOCHROME: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
LAYOUT_TAGS: Final = (
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
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
    """Bits as PS3.5 8.1.1 defines them. `dtype` is that of values that fill their bytes, else None."""

    syntax: str
    photometric: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    dtype: str | None

    @property
    def declared_bytes(self) -> int:
        """Of the uncompressed pixels, without the byte that pads them to an even length."""
        return -(-self.rows * self.columns * self.bits_allocated // 8)

    @property
    def decoded_bytes(self) -> int:
        """Of the image in memory, once decoded."""
        return self.rows * self.columns * max(_VOXEL_BYTES, self.bits_allocated // 8)

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
    """The layout of a single-frame monochrome image.

    Raises UnsupportedSeries (colour, several frames) and InconsistentHeader. On values that are missing or of
    another type it raises what pydicom raises.
    """
    if int(dataset.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UnsupportedSeries(
            "multi-frame images are read by their frames, and the frames of one cannot be"
        )
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if photometric not in MONOCHROME:
        raise UnsupportedSeries("colour images cannot be read as one intensity")
    syntax = transfer_syntax(dataset)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    sign = int(dataset.PixelRepresentation)
    layout = PixelLayout(
        syntax=syntax,
        photometric=photometric,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=sign == 1,
        dtype=_DTYPES.get((allocated, sign)) if syntax in _LITTLE_ENDIAN and stored == allocated else None,
    )
    _check(layout, sign, int(dataset.get("HighBit", stored - 1)), dataset.get("SamplesPerPixel", 1))
    return layout


def _check(layout: PixelLayout, sign: int, high_bit: int, samples: Any) -> None:
    """An image of nothing, bits that do not fit, or samples of a colour image that calls itself monochrome."""
    allocated, stored = layout.bits_allocated, layout.bits_stored
    if not (layout.rows > 0 and layout.columns > 0):
        raise InconsistentHeader("an image has no rows or no columns")
    if int(samples) != 1:
        raise InconsistentHeader("a monochrome image has several samples per pixel")
    if allocated not in _ALLOCATED or not 1 <= stored <= allocated or sign not in (0, 1):
        raise InconsistentHeader(f"{stored} bits cannot be stored in {allocated}, or their sign is unknown")
    if high_bit != stored - 1:
        raise InconsistentHeader(f"the high bit of {stored} stored bits is said to be bit {high_bit}")


def transfer_syntax(dataset: Dataset) -> str:
    """The transfer syntax the pixels came in; blank when the dataset never was a file."""
    meta = getattr(dataset, "file_meta", None)
    return "" if meta is None else text(meta, "TransferSyntaxUID")
