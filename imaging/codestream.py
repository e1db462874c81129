"""What a compressed image says of its own size, so that it is known before a decoder allocates it.

JPEG and JPEG-LS: ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2. JPEG 2000, also high-throughput: ISO/IEC 15444-1 A.5.1 and,
for the JP2 file format that some vendors put into DICOM, I.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000TransferSyntaxes, RLELossless

JPEG2000_SYNTAXES: Final = frozenset({*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL})
MAX_TILES: Final = 4096  # a decoder keeps kilobytes for each tile, however small it is

_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {
    0xC4,
    0xC8,
    0xCC,
}  # but tables, JPG, arithmetic
_HIERARCHICAL: Final = 0xDE
_SCAN: Final = 0xDA
_END: Final = 0xD9
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_SOF: Final = Struct(">BHHB")
_SIZ: Final = Struct(">8IH")
_LENGTH: Final = Struct(">H")
_BOX: Final = Struct(">I4s")
_LONG_BOX: Final = Struct(">Q")
_PADDING: Final = b"\0\xff"
_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  "


class DamagedCodestream(Exception):
    """The header of the codestream cannot be followed."""


@dataclass(frozen=True, slots=True)
class EncodedSize:
    rows: int
    columns: int
    samples: int


def encoded_sizes(syntax: str, frame: bytes) -> frozenset[EncodedSize]:
    """The sizes that a frame's headers name: one, in an honest frame; none for RLE, which has no such header.

    Raises DamagedCodestream.
    """
    if syntax == RLELossless:
        return frozenset()
    try:
        sizes = frozenset({_jpeg2000(frame)} if syntax in JPEG2000_SYNTAXES else _jpeg(frame))
    except (error, IndexError, ZeroDivisionError):
        raise DamagedCodestream("the codestream ends in its header") from None
    if not sizes:
        raise DamagedCodestream("the codestream names no size")
    return sizes


def _jpeg(frame: bytes) -> Iterator[EncodedSize]:
    """Of every frame header before the first scan."""
    if frame[:2] != b"\xff\xd8":
        raise DamagedCodestream("no JPEG image begins here")
    if frame.rstrip(_PADDING)[-1:] != b"\xd9":
        raise DamagedCodestream("the JPEG image is cut off")
    at = 2
    while True:
        if frame[at] != 0xFF:
            raise DamagedCodestream("a JPEG marker is missing")
        marker = frame[at + 1]
        if marker in (_SCAN, _END, _HIERARCHICAL):
            break
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # 0xFF fills
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = _LENGTH.unpack_from(frame, at + 2)
        if marker in _FRAME_HEADERS:
            _, rows, columns, samples = _SOF.unpack_from(frame, at + 4)
            yield EncodedSize(rows, columns, samples)
        at += 2 + length
    if marker == _HIERARCHICAL:
        raise DamagedCodestream("hierarchical JPEG, which DICOM does not have")


def _jpeg2000(frame: bytes) -> EncodedSize:
    at = _codestream(frame)
    if frame[at : at + 4] != _SOC_SIZ:
        raise DamagedCodestream("no JPEG 2000 codestream begins here")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, samples = _SIZ.unpack_from(
        frame, at + 8
    )
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    if not (left < right and top < bottom and 0 < tiles <= MAX_TILES):
        raise DamagedCodestream("the codestream has no area, or too many tiles")
    return EncodedSize(bottom - top, right - left, samples)


def _codestream(frame: bytes) -> int:
    """Where the codestream begins: at once, or in the box `jp2c` of a JP2 file."""
    if not frame.startswith(_JP2_SIGNATURE):
        return 0
    at = 0
    while True:
        length, kind = _BOX.unpack_from(frame, at)
        header = 8
        if length == 1:
            (length,) = _LONG_BOX.unpack_from(frame, at + 8)
            header = 16
        if kind == b"jp2c":
            return at + header
        if length < header:
            raise DamagedCodestream("the JP2 file has no codestream")
        at += length
