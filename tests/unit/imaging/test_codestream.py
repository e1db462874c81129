"""A compressed image says its own size before a decoder allocates it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from imaging.codestream import DamagedCodestream, EncodedSize, encoded_sizes
from imaging.instance import parse_instance
from imaging.pixel_layout import transfer_syntax
from tests.fuzzing.make_corpus import CORPUS

COMPRESSED = sorted(path.name for path in CORPUS.glob("*jpeg*"))
SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def frame_header(rows: int, columns: int, marker: int = 0xC0) -> bytes:
    return struct.pack(">BBHBHHB", 0xFF, marker, 11, 8, rows, columns, 1) + b"\1\x11\0"


def jpeg(*parts: bytes) -> bytes:
    return SOI + b"".join(parts) + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"data" + EOI


def jpeg2000(rows: int, columns: int, tile: int) -> bytes:
    size = struct.pack(">HH8IH", 41, 0, columns, rows, 0, 0, tile, tile, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + size + b"\7\1\1" + EOI


@pytest.mark.parametrize("name", COMPRESSED)
def test_the_size_of_each_codec_is_found(name: str) -> None:
    dataset = parse_instance((CORPUS / name).read_bytes())
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    samples = 3 if name.startswith("colour") else 1
    assert encoded_sizes(transfer_syntax(dataset), frame) == {EncodedSize(40, 36, samples)}


def test_the_size_inside_a_jp2_file_is_found() -> None:
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 12, b"free") + b"\xff\x4f\xff\x51"
    codestream = jpeg2000(20, 30, 64)
    inside = boxes + struct.pack(">I4s", 8 + len(codestream), b"jp2c") + codestream
    assert encoded_sizes(JPEG2000, inside) == {EncodedSize(20, 30, 1)}


def test_each_frame_header_counts() -> None:
    """A decoder may follow the last one."""
    two = jpeg(frame_header(8, 8), frame_header(60000, 60000))
    assert encoded_sizes(JPEGBaseline8Bit, two) == {EncodedSize(8, 8, 1), EncodedSize(60000, 60000, 1)}


def test_run_lengths_name_no_size() -> None:
    assert encoded_sizes(RLELossless, b"") == frozenset()


@pytest.mark.parametrize(
    ("syntax", "frame", "damage"),
    [
        (JPEGBaseline8Bit, b"", "no JPEG image"),
        (JPEGBaseline8Bit, jpeg(frame_header(8, 8))[:-2], "cut off"),
        (JPEGBaseline8Bit, jpeg(), "names no size"),
        (JPEGBaseline8Bit, jpeg(b"no marker"), "marker is missing"),
        (JPEGBaseline8Bit, jpeg(b"\xff\xde\0\2"), "hierarchical"),
        (JPEGLSLossless, SOI + b"\xff\xf7\xff\xff\x08" + EOI, "ends in its header"),
        (JPEG2000, b"\xff\x4f\xff\x51\0\x29", "ends in its header"),
        (JPEG2000, b"neither", "no JPEG 2000"),
        (JPEG2000, jpeg2000(8, 8, 0), "ends in its header"),
        (JPEG2000, jpeg2000(0, 8, 8), "no area"),
        (JPEG2000, jpeg2000(60000, 60000, 8), "too many tiles"),
        (JPEG2000, b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s", 2, b"free"), "no codestream"),
    ],
)
def test_a_header_that_cannot_be_followed_is_damage(syntax: str, frame: bytes, damage: str) -> None:
    with pytest.raises(DamagedCodestream, match=damage):
        encoded_sizes(syntax, frame)


def test_padding_behind_the_end_is_no_damage() -> None:
    padded = Path(str(get_testdata_file("JPGExtended.dcm")))
    dataset = parse_instance(padded.read_bytes())
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    assert not frame.endswith(EOI)
    assert encoded_sizes(transfer_syntax(dataset), frame) == {EncodedSize(1024, 256, 1)}
