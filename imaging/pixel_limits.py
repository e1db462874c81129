"""How large pixels may become: a few bytes of a compressed file can ask for more memory than a machine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HELD_PER_DECODED: Final = 3.5  # of a study that is decoded: stored pixels, float32 voxels, what decoders use
HELD_BY_A_READER: Final = 300 * 2**20  # bytes, before it reads anything


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """Decoded bytes (rows x columns x bytes of a voxel) of one image, and of all images of a study together.

    Each frame of a multi-frame object is an image.

    A deflated object counts with what it inflates to.
    """

    image_bytes: int = 512 * 2**20
    study_bytes: int = 4 * 2**30

    def within(self, memory_bytes: int) -> PixelLimits:
        """These limits for a process that may hold so much: what cannot be decoded there is refused by its header.

        >>> PixelLimits().within(1200 * 2**20).study_bytes // 2**20
        257
        """
        room = room_bytes(memory_bytes)
        return PixelLimits(min(self.image_bytes, room), min(self.study_bytes, room))


def room_bytes(memory_bytes: int) -> int:
    """How much a process that may hold `memory_bytes` may decode at a time."""
    return max(1, int((memory_bytes - HELD_BY_A_READER) / HELD_PER_DECODED))
