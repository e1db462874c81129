"""How large pixels may become: a few bytes of a compressed file can ask for more memory than a machine has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PixelLimits:
    """Decoded bytes (rows x columns x bytes of a voxel) of one image, and of all images of a study together.

    Each frame of a multi-frame object is an image.

    A deflated object counts with what it inflates to.
    """

    image_bytes: int = 512 * 2**20
    study_bytes: int = 4 * 2**30
