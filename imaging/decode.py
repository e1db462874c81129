"""One dataset -> its stored pixel values, whatever the transfer syntax.

Native little-endian monochrome is a view of the received bytes; everything else goes through pydicom's
decoders (pylibjpeg, pyjpegls, GDCM). Texts of errors below may carry tag values, so none of them passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.errors import UndecodablePixels, UnsupportedSeries
from imaging.elements import text

Pixels = npt.NDArray[Any]

_NATIVE: Final = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
_DTYPES: Final = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}
MONOCHROME: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How an image's pixels lie in its bytes. `dtype` is None when a decoder has to find out."""

    rows: int
    columns: int
    dtype: str | None


LAYOUT_TAGS: Final = (
    "NumberOfFrames", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip
"""What `pixel_layout` reads: images of one transfer syntax that agree on these share their layout."""


def pixel_layout(dataset: Dataset) -> PixelLayout:
    """The layout of a single-frame monochrome image. Raises UnsupportedSeries (colour, several frames)."""
    if int(dataset.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UnsupportedSeries("multi-frame images are not supported; only single-frame instances are")
    if str(dataset.get("PhotometricInterpretation", "")) not in MONOCHROME:
        raise UnsupportedSeries("colour images cannot be read as one intensity")
    return PixelLayout(int(dataset.Rows), int(dataset.Columns), _native_dtype(dataset))


def stored_pixels(dataset: Dataset, layout: PixelLayout | None = None) -> Pixels:
    """Stored values `(rows, columns)` before the Modality LUT; perhaps a read-only view.

    `layout` saves reading it again. Raises UnsupportedSeries as `pixel_layout`, and UndecodablePixels (no
    pixels, damaged, or a transfer syntax without a decoder).
    """
    layout = layout or pixel_layout(dataset)
    element = dataset.get_item("PixelData")
    if element is None:
        raise UndecodablePixels("an image has no pixel data of whole numbers")
    pixels = _native_view(element.value, layout)
    return _decoded(dataset) if pixels is None else pixels


def pixel_digest(dataset: Dataset, stored: Pixels) -> bytes:
    """BLAKE3 of the stored values, little-endian: the same for every lossless transfer syntax."""
    element = dataset.get_item("PixelData")
    if element is not None and is_view(element.value):
        return blake3(element.value).digest()  # they are those bytes; no need to convert
    values = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    odd = bytes(values.nbytes % 2)  # PS3.5 §8.1.1 pads to even length
    return blake3(values.tobytes() + odd).digest()


def is_view(value: object) -> TypeGuard[memoryview]:
    """True for native pixels as `parse_instance` leaves them: the bytes of the received object itself."""
    return isinstance(value, memoryview)


def modality_values(dataset: Dataset, stored: Pixels) -> Pixels | None:
    """The Modality LUT of a dataset that has one as a table (PS3.3 C.11.1); None when it has not."""
    if "ModalityLUTSequence" not in dataset:
        return None
    try:
        return np.asarray(apply_modality_lut(stored, dataset))
    except Exception:  # noqa: BLE001  (decoders raise what they like, with tag values in it)
        raise UndecodablePixels("the Modality LUT cannot be applied") from None


def transfer_syntax(dataset: Dataset) -> str:
    """The transfer syntax the pixels came in; blank when the dataset never was a file."""
    meta = getattr(dataset, "file_meta", None)
    return "" if meta is None else text(meta, "TransferSyntaxUID")


def _native_dtype(dataset: Dataset) -> str | None:
    """The type of uncompressed values that fill their allocated bits: else overlays may sit above them."""
    if transfer_syntax(dataset) not in _NATIVE or dataset.get("BitsStored") != dataset.get("BitsAllocated"):
        return None
    return _DTYPES.get((dataset.BitsAllocated, dataset.PixelRepresentation))


def _native_view(value: object, layout: PixelLayout) -> Pixels | None:
    """A view of uncompressed pixels; None when a decoder must look at them."""
    count = layout.rows * layout.columns
    if layout.dtype is None or not isinstance(value, bytes | memoryview):
        return None
    if len(value) < count * np.dtype(layout.dtype).itemsize:
        return None
    return np.frombuffer(value, layout.dtype, count).reshape(layout.rows, layout.columns)


def _decoded(dataset: Dataset) -> Pixels:
    _own_pixel_bytes(dataset)
    try:
        pixels = np.asarray(dataset.pixel_array)
    except Exception:  # noqa: BLE001  (decoders raise what they like, with tag values in it)
        raise UndecodablePixels(
            f"pixels of transfer syntax {_syntax_name(dataset)} cannot be decoded"
        ) from None
    if pixels.ndim != 2:
        raise UndecodablePixels("the decoded image is not one plane")
    return pixels


def _own_pixel_bytes(dataset: Dataset) -> None:
    """Decoders want bytes, not a view of the received object."""
    element = dataset["PixelData"]
    if isinstance(element.value, memoryview):
        element.value = bytes(element.value)


def _syntax_name(dataset: Dataset) -> str:
    """The registered name of the transfer syntax; the UID of a private one is not repeated."""
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return str(uid.name) if uid is not None and uid.is_transfer_syntax and not uid.is_private else "unknown"
