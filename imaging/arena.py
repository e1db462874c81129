"""Memory for a series on its way: few large blocks in place of hundreds of middling ones.

A fresh 512 KiB from malloc costs more page faults than time to receive it, on the machine we measured; NumPy
asks for huge pages for large arrays. What was handed out keeps its block alive.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from imaging.errors import StudyTooLarge

_BLOCK_BYTES: Final = 32 * 2**20
_ALIGNMENT: Final = 64


class Arena:
    """Hands out writable memory, at most `limit_bytes` at once: a length off the wire is only a claim."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._block = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """So many bytes, not cleared. Raises StudyTooLarge."""
        if size > self._limit_bytes:
            raise StudyTooLarge(f"one instance has {size / 2**20:.0f} MiB")
        if size > len(self._block):
            self._block = np.empty(max(size, _BLOCK_BYTES), np.uint8).data
        taken = self._block[:size]
        self._block = self._block[-(-size // _ALIGNMENT) * _ALIGNMENT :]
        return taken
