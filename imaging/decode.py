"""One dataset -> its stored pixel values, whatever the transfer syntax.

Native little-endian monochrome is a view of the received bytes; everything else goes through pydicom's
decoders (pylibjpeg, pyjpegls, GDCM). Texts of errors below may carry tag values, so none of them passes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from imaging.errors import UndecodablePixels, UnsupportedSeries

Pixels = npt.NDArray[Any]

_NATIVE: Final = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
_DTYPES: Final = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}
MONOCHROME: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})


def stored_pixels(dataset: Dataset) -> Pixels:
    """Stored values `(rows, columns)` of a single-frame monochrome image, before the Modality LUT.

    The array may be a read-only view. Raises UnsupportedSeries (colour, or several frames) and
    UndecodablePixels (no pixels, damaged, or a transfer syntax without a decoder).
    """
    _check_kind(dataset)
    pixels = _native_view(dataset)
    return _decoded(dataset) if pixels is None else pixels


def modality_values(dataset: Dataset, stored: Pixels) -> Pixels | None:
    """The Modality LUT of a dataset that has one as a table (PS3.3 C.11.1); None when it has not."""
    if "ModalityLUTSequence" not in dataset:
        return None
    try:
        return np.asarray(apply_modality_lut(stored, dataset))
    except Exception:  # noqa: BLE001  (decoders raise what they like, with tag values in it)
        raise UndecodablePixels("the Modality LUT cannot be applied") from None


def _check_kind(dataset: Dataset) -> None:
    if int(dataset.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise UnsupportedSeries(
            "multi-frame images are not supported; ask the archive for single-frame instances"
        )
    if str(dataset.get("PhotometricInterpretation", "")) not in MONOCHROME:
        raise UnsupportedSeries("colour images cannot be read as one intensity")
    if "PixelData" not in dataset:
        raise UndecodablePixels("an image has no pixel data of whole numbers")


def _native_view(dataset: Dataset) -> Pixels | None:
    """A view of uncompressed pixels; None when the layout is not the plain one."""
    meta = getattr(dataset, "file_meta", None)
    if meta is None or meta.get("TransferSyntaxUID") not in _NATIVE:
        return None
    element = dataset.get_item("PixelData")
    if element is None or not isinstance(element.value, bytes) or not _has_plain_bits(dataset):
        return None
    dtype = _DTYPES.get((dataset.BitsAllocated, dataset.PixelRepresentation))
    count = dataset.Rows * dataset.Columns
    if dtype is None or len(element.value) < count * np.dtype(dtype).itemsize:
        return None
    return np.frombuffer(element.value, dtype, count).reshape(dataset.Rows, dataset.Columns)


def _has_plain_bits(dataset: Dataset) -> bool:
    """True when every allocated bit belongs to the value: else overlays or padding may sit above it."""
    return bool(
        dataset.get("BitsStored") == dataset.get("BitsAllocated") and dataset.get("HighBit") is not None
    )


def _decoded(dataset: Dataset) -> Pixels:
    try:
        pixels = np.asarray(dataset.pixel_array)
    except Exception:  # noqa: BLE001  (decoders raise what they like, with tag values in it)
        raise UndecodablePixels(
            f"pixels of transfer syntax {_syntax_name(dataset)} cannot be decoded"
        ) from None
    if pixels.ndim != 2:
        raise UndecodablePixels("the decoded image is not one plane")
    return pixels


def _syntax_name(dataset: Dataset) -> str:
    """The registered name of the transfer syntax; the UID of a private one is not repeated."""
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return str(uid.name) if uid is not None and uid.is_transfer_syntax and not uid.is_private else "unknown"
