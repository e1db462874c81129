"""A segmentation as few bytes, for as long as another version still has to read the study; and how two overlap."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
FASTEST: Final = 1  # of zlib: a mask is mostly runs of equal bits, which any level finds
MOST_VOXELS: Final = 2**31
_HEAD: Final = struct.Struct("<9I")  # the shape, and the box's first and last corner


class BrokenMask(ValueError):
    """Bytes that no mask was packed into."""


def pack(mask: Mask) -> bytes:
    """A mask `(slices, rows, columns)` without the empty space around it, a bit for each voxel, compressed."""
    box = _box(mask)
    bits = np.packbits(mask[tuple(slice(low, high) for low, high in box)], axis=None)
    corners = (low for low, _ in box), (high for _, high in box)
    return _HEAD.pack(*mask.shape, *corners[0], *corners[1]) + zlib.compress(bits.tobytes(), FASTEST)


def unpack(packed: bytes) -> Mask:
    """The mask that was packed. Raises BrokenMask."""
    try:
        numbers = _HEAD.unpack_from(packed)
        shape, low, high = numbers[:3], numbers[3:6], numbers[6:]
        size = _size_within(shape, low, high)
        expected = (size + 7) // 8
        bits = zlib.decompressobj().decompress(packed[_HEAD.size :], expected + 1)
        if len(bits) != expected:
            raise ValueError("it is cut off, or goes on")
        inside = np.unpackbits(np.frombuffer(bits, np.uint8), count=size).astype(bool)
    except (struct.error, zlib.error, ValueError) as error:
        raise BrokenMask(f"no mask was packed into these bytes: {type(error).__name__}") from None
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(map(slice, low, high))] = inside.reshape([b - a for a, b in zip(low, high, strict=True)])
    return mask


def dice(one: Mask, other: Mask) -> float:
    """2|A∩B| / (|A|+|B|) of two masks of one shape (Dice, Ecology 1945); 1 where both are empty.

    Raises ValueError for masks of two shapes.
    """
    if one.shape != other.shape:
        raise ValueError("two masks of different shapes do not overlap")
    both, total = (
        int(np.count_nonzero(one & other)),
        int(np.count_nonzero(one)) + int(np.count_nonzero(other)),
    )
    return 2.0 * both / total if total else 1.0


def _box(mask: Mask) -> list[tuple[int, int]]:
    """The first and the end of what is set, along each axis; zeros for an empty mask."""
    planes: Mask = np.any(mask, axis=(1, 2))
    if not np.any(planes):
        return [(0, 0)] * 3
    first, last = _span(planes)
    flat: Mask = np.any(mask[first:last], axis=0)
    rows: Mask = np.any(flat, axis=1)
    columns: Mask = np.any(flat, axis=0)
    return [(first, last), _span(rows), _span(columns)]


def _span(is_set: Mask) -> tuple[int, int]:
    (found,) = np.nonzero(is_set)
    return int(found[0]), int(found[-1]) + 1


def _size_within(shape: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> int:
    """The box's number of voxels. Raises ValueError where it lies outside of the shape, or the shape is too large."""
    if any(not 0 <= a <= b <= size for size, a, b in zip(shape, low, high, strict=True)):
        raise ValueError("the box lies outside of the mask")
    if int(np.prod(shape, dtype=np.int64)) > MOST_VOXELS:
        raise ValueError("the mask is too large")
    return int(np.prod([b - a for a, b in zip(low, high, strict=True)], dtype=np.int64))
