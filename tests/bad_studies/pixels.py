"""Pixels that are not what the header says, or that ask for more memory than they are worth."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from imaging.pixel_limits import PixelLimits
from tests.bad_studies.case import INNER, Case, Files, as_files, changed, each, every, head, one, pixels_of
from tests.ct import encoded

LIMITS = PixelLimits(image_bytes=64 * 2**20, study_bytes=256 * 2**20)
"""For whoever reads these studies: bombs of a hundred megabytes show as much as larger ones."""

FOREIGN_SYNTAX = b"1.2.826.0.1.36800.99"  # as long as the one it stands for


def _longer(image: Dataset, index: int) -> None:
    image.PixelData += bytes(2 * image.Columns)


def _shorter(image: Dataset, index: int) -> None:
    if index == INNER:
        image.PixelData = image.PixelData[: len(image.PixelData) // 2]


def _constant(image: Dataset, index: int) -> None:
    image.PixelData = np.full_like(pixels_of(image), 40).tobytes()


def _lost(image: Dataset, index: int) -> None:
    if index == INNER:
        image.PixelData = bytes(len(image.PixelData))


def _blank_ends(image: Dataset, index: int) -> None:
    if index in (0, 1, 23):
        image.PixelData = bytes(len(image.PixelData))


def compressed(
    syntax: UID, damage: Callable[[bytes], bytes] = bytes, index: int = INNER
) -> Callable[[], Files]:
    """A head in another transfer syntax, one of whose images is damaged in its frame."""

    def make() -> Files:
        study = head()
        for image in study:
            image.compress(syntax, generate_instance_uid=False)
        frame = get_frame(study[index].PixelData, 0, number_of_frames=1)
        study[index].PixelData = encapsulate([damage(frame)])
        return as_files(study)

    return make


def _half(frame: bytes) -> bytes:
    return frame[: len(frame) // 4 * 2]


def _noise(frame: bytes) -> bytes:
    noise = np.random.default_rng(2).integers(0, 256, len(frame)).astype(np.uint8).tobytes()
    return frame[:200] + noise[200:-4] + frame[-4:]


def _huge_jpegls(frame: bytes) -> bytes:
    """Its frame header says 60000 x 60000."""
    at = frame.index(b"\xff\xf7") + 5
    return frame[:at] + struct.pack(">HH", 60000, 60000) + frame[at + 4 :]


def _huge_jpeg2000(frame: bytes) -> bytes:
    """Image and tile are of 60000 x 60000."""
    at = frame.index(b"\xff\x51") + 6
    return frame[:at] + struct.pack(">6I", 60000, 60000, 0, 0, 60000, 60000) + frame[at + 24 :]


def _declares_60000() -> Files:
    """The bomb of issue 8: each file a few kilobytes, and 7 GB for whoever believes it."""
    study = head()
    for image in study:
        image.compress(RLELossless, generate_instance_uid=False)
        changed(image, Rows=60000, Columns=60000)
    return as_files(study)


def _many() -> Files:
    """Each image is within its limit, and all together are not."""
    study = head()
    for image in study:
        image.compress(RLELossless, generate_instance_uid=False)
        changed(image, Rows=4000, Columns=4000)
    return as_files(study)


def deflated(image: Dataset, content: bytes = b"") -> bytes:
    """The image as a deflated object; `content` follows its last element."""
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = encoded(image)
    start = 132 + 12 + int.from_bytes(whole[140:144], "little")
    if not content:
        return whole
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return whole[:start] + squeeze.compress(plain + content) + squeeze.flush()


def _deflated_bomb() -> Files:
    """Trailing padding of a gigabyte, deflated to one."""
    study = head()
    padding = 2 * LIMITS.image_bytes
    element = b"\xfc\xff\xfc\xffOB\0\0" + padding.to_bytes(4, "little") + bytes(padding)
    return [deflated(study[0], element), *as_files(study[1:])]


def _foreign_syntax() -> Files:
    return [content.replace(b"1.2.840.10008.1.2.1\0", FOREIGN_SYNTAX) for content in as_files(head())]


CASES = (
    Case("pixels of one value", each(_constant), "pixels-constant"),
    Case("one image of a CT, between others, of one value", each(_lost), "pixels-constant"),
    Case("images of one value at the ends", each(_blank_ends), note="3 of 24 images hold one value"),
    Case("BitsAllocated 8 over 16-bit values", every(BitsAllocated=8, BitsStored=8, HighBit=7), "pixels-contradict-header"),
    Case("PixelData longer than declared", each(_longer), "pixels-contradict-header"),
    Case("PixelData of one image truncated", each(_shorter), "pixels-damaged"),
    Case("one image without PixelData", one(PixelData=None), "pixels-damaged"),
    Case("RLE, one image truncated", compressed(RLELossless, _half), "pixels-damaged"),
    Case("JPEG-LS, one image truncated", compressed(JPEGLSLossless, _half), "pixels-damaged"),
    Case("JPEG-LS, one image overwritten", compressed(JPEGLSLossless, _noise), "pixels-damaged"),
    Case("JPEG 2000, one image truncated", compressed(JPEG2000Lossless, _half), "pixels-damaged"),
    Case("RLE that is sound", compressed(RLELossless)),
    Case("JPEG-LS frame of 60000 x 60000 in an image of 64 x 64", compressed(JPEGLSLossless, _huge_jpegls), "pixels-contradict-header"),
    Case("JPEG 2000 frame of 60000 x 60000 in an image of 64 x 64", compressed(JPEG2000Lossless, _huge_jpeg2000), "pixels-contradict-header"),
    Case("RLE images that declare 60000 x 60000", _declares_60000, "pixels-too-large"),
    Case("images that together decode to more than a study may", _many, "pixels-too-large"),
    Case("a deflated object that inflates to more than an image may", _deflated_bomb, "pixels-too-large"),
    Case("a transfer syntax that nobody knows", _foreign_syntax, "unsupported-transfer-syntax"),
)  # fmt: skip
