"""The pixel bytes of each frame of a multi-frame image, as if each were an image of its own (PS3.5 8.2, A.4)."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRBigEndian

from core.errors import UndecodablePixels
from imaging.pixel_layout import NATIVE, transfer_syntax
from imaging.told_as import told_as

FRAME_PIXELS: Final = tuple(map(Tag, ("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths")))
"""What an object says of all its frames' pixels, and none of its frames."""

_PIXEL_DATA, _OFFSETS, _LENGTHS = FRAME_PIXELS


def frame_pixels(image: Dataset, count: int) -> tuple[bytes | memoryview | None, ...]:
    """PixelData of each of `count` frames; None for one that is not there or that cannot be told from others.

    Uncompressed pixels are not copied. What is too long or too short is so in the last frames, where
    `stored_pixels` says it.
    """
    element = image.get_item(_PIXEL_DATA)
    value = None if element is None else element.value
    if not isinstance(value, bytes | memoryview):
        return (None,) * count
    try:
        with told_as(UndecodablePixels("the frames of an image cannot be told apart")):
            syntax = transfer_syntax(image)
            if syntax not in NATIVE:
                return _encapsulated(image, bytes(value), count)
            return _native(image, value if syntax == ExplicitVRBigEndian else memoryview(value), count)
    except UndecodablePixels:
        return (None,) * count


def _native(image: Dataset, value: bytes | memoryview, count: int) -> tuple[bytes | memoryview | None, ...]:
    """Frames follow each other without a gap; only all of them together are padded to an even length."""
    size = int(image.Rows) * int(image.Columns) * (int(image.BitsAllocated) // 8)
    starts = [number * size for number in range(count)]
    return (*(value[at : at + size] for at in starts[:-1]), value[starts[-1] :])


def _encapsulated(image: Dataset, value: bytes, count: int) -> tuple[bytes | None, ...]:
    """Each frame encapsulated anew, its fragments joined; by the offset tables where there are any."""
    tables = (_table(image, _OFFSETS), _table(image, _LENGTHS))
    extended = (tables[0], tables[1]) if tables[0] and tables[1] else None
    frames: list[bytes] = []
    left = len(value)
    for frame in generate_frames(value, number_of_frames=count, extended_offsets=extended):
        left -= len(frame)
        if left < 0 or len(frames) == count:  # frames that overlap, or more of them than are declared
            return (None,) * count
        frames.append(frame)
    whole = [encapsulate([frame], has_bot=False) for frame in frames]
    return (*whole, *[None] * (count - len(whole)))


def _table(image: Dataset, tag: BaseTag) -> bytes:
    value = image[tag].value if tag in image else b""
    return bytes(value or b"")
