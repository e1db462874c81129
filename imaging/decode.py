"""One dataset -> its stored pixel values, whatever the transfer syntax.

Native little-endian monochrome is a view of the received bytes; everything else goes through pydicom's decoders, once
the frame's own header has said that it is the declared image. Each syntax has one decoder, the one that tells damage:
pydicom would try all that are installed, and libjpeg makes an image of half a JPEG-LS frame that two others refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from core.errors import ContradictoryPixels, StudyError, UndecodablePixels, UnsupportedSyntax
from imaging.codestream import JPEG2000_SYNTAXES, DamagedCodestream, EncodedSize, encoded_sizes
from imaging.pixel_layout import PixelLayout, pixel_layout
from imaging.told_as import told_as

Pixels = npt.NDArray[Any]

_PLUGINS: Final[Mapping[str, str]] = {
    RLELossless: "pylibjpeg",
    JPEGBaseline8Bit: "gdcm",
    JPEGExtended12Bit: "pylibjpeg",  # GDCM reads no 12 bits
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    **dict.fromkeys(JPEG2000_SYNTAXES, "pylibjpeg"),
}


def stored_pixels(dataset: Dataset, layout: PixelLayout | None = None) -> Pixels:
    """Stored values `(rows, columns)` before the Modality LUT or palette; perhaps a read-only view.

    Of an image in other colours than those of a palette, red, green and blue `(rows, columns, 3)`.

    `layout` saves reading it again. Raises UnsupportedSeries and InconsistentHeader as `pixel_layout`, and
    UndecodablePixels (none, or damaged), ContradictoryPixels (of another size than declared), UnsupportedSyntax.
    """
    if layout is None:
        with told_as(StudyError("an image does not describe its pixels")):
            layout = pixel_layout(dataset)
    decoder = _decoder(layout.syntax) if layout.dtype is None else None
    element = dataset.get_item("PixelData")
    value = None if element is None else element.value
    if not isinstance(value, bytes | memoryview):
        raise UndecodablePixels("an image has no pixel data of whole numbers")
    if layout.is_native:
        layout.check_length(len(value))
    if decoder is None:
        return _native_view(value, layout)
    with told_as(UndecodablePixels(f"pixels of transfer syntax {_name(layout.syntax)} cannot be decoded")):
        encoded = bytes(value) if layout.is_native else _checked_frame(bytes(value), layout)
        options = _options(layout, element.VR or "OW")
        pixels, _ = decoder.as_array(
            encoded, raw=layout.samples == 1, decoding_plugin=_PLUGINS.get(layout.syntax, ""), **options
        )
    if pixels.shape != (layout.rows, layout.columns) + (layout.samples,) * (layout.samples > 1):
        raise ContradictoryPixels("the decoded image is not one plane of the declared size")
    return np.asarray(pixels)


def pixel_digest(dataset: Dataset, stored: Pixels) -> bytes:
    """BLAKE3 of the stored values, little-endian: the same for every lossless transfer syntax."""
    element = dataset.get_item("PixelData")
    if element is not None and is_view(element.value):
        return _digest_of(element.value)  # they are those bytes; no need to convert
    values = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<"))
    return _digest_of(values.tobytes())


def _digest_of(value: bytes | memoryview) -> bytes:
    """Of bytes padded to an even length (PS3.5 8.1.1), as those of an image are, and not those of a frame."""
    return blake3(bytes(value) + b"\0" if len(value) % 2 else value).digest()


def is_view(value: object) -> TypeGuard[memoryview]:
    """True for native pixels as `parse_instance` leaves them: the bytes of the received object itself."""
    return isinstance(value, memoryview)


def modality_values(dataset: Dataset, stored: Pixels) -> Pixels | None:
    """The Modality LUT of a dataset that has one as a table (PS3.3 C.11.1); None when it has not."""
    if "ModalityLUTSequence" not in dataset:
        return None
    with told_as(UndecodablePixels("the Modality LUT cannot be applied")):
        return np.asarray(apply_modality_lut(stored, dataset))


@cache
def _decoder(syntax: str) -> Decoder:
    """Raises UnsupportedSyntax."""
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise UnsupportedSyntax(f"there is no decoder for transfer syntax {_name(syntax)}") from None
    if syntax in _PLUGINS and _PLUGINS[syntax] not in decoder.available_plugins:
        raise UnsupportedSyntax(f"no decoder for transfer syntax {_name(syntax)} is installed")
    return decoder


def _native_view(value: bytes | memoryview, layout: PixelLayout) -> Pixels:
    """The image as a view of its bytes, which fill their allocated bits: else overlays may sit above them."""
    return np.frombuffer(value, layout.dtype, layout.rows * layout.columns).reshape(
        layout.rows, layout.columns
    )


def _checked_frame(value: bytes, layout: PixelLayout) -> bytes:
    """The one frame, and nothing else, encapsulated anew: what was checked is what the decoder gets."""
    frame = get_frame(value, 0, number_of_frames=1)
    try:
        sizes = encoded_sizes(layout.syntax, frame)
    except DamagedCodestream as damage:
        raise UndecodablePixels(f"a compressed image is damaged: {damage}") from None
    if sizes - {EncodedSize(layout.rows, layout.columns, layout.samples)}:
        raise ContradictoryPixels("a compressed image is of another size than its header declares")
    return encapsulate([frame], has_bot=False)


def _options(layout: PixelLayout, vr: str) -> dict[str, Any]:
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "planar_configuration": int(layout.is_planar),
        "number_of_frames": 1,
        "photometric_interpretation": layout.photometric,
        "bits_allocated": layout.bits_allocated,
        "bits_stored": layout.bits_stored,
        "pixel_representation": int(layout.is_signed),
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
    }


def _name(syntax: str) -> str:
    """The registered name of the transfer syntax; the UID of a private one is not repeated."""
    uid = UID(syntax)
    return str(uid.name) if uid.is_transfer_syntax and not uid.is_private else "unknown"
