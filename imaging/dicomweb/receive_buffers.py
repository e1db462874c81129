"""Memory for a series on its way: few large blocks in place of hundreds of middling ones, and used again.

A fresh 512 KiB from malloc costs more page faults than time to receive it, on the machine we measured. NumPy asks
for huge pages for large arrays, and a block that was used before costs none at all.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core.errors import StudyTooLarge

_BLOCK_BYTES: Final = 32 * 2**20
_KEPT_BLOCKS: Final = 8
_ALIGNMENT: Final = 64

Block = npt.NDArray[np.uint8]


class BlockPool:
    """Blocks of 32 MiB. One comes back by itself when nothing points into it any more; 256 MiB are kept."""

    def __init__(self) -> None:
        self._free: deque[Block] = deque(maxlen=_KEPT_BLOCKS)

    def lend(self) -> memoryview:
        """A block, not cleared."""
        try:
            block = self._free.pop()
        except IndexError:
            block = np.empty(_BLOCK_BYTES, np.uint8)
        lent: Any = block[:]  # every view of the lent memory holds this array, and not the block
        weakref.finalize(lent, self._free.append, block).atexit = False
        return memoryview(lent)


class ReceiveBuffers:
    """Hands out writable memory, at most `limit_bytes` at once: a length off the wire is only a claim."""

    def __init__(self, limit_bytes: int, pool: BlockPool) -> None:
        self._limit_bytes = limit_bytes
        self._pool = pool
        self._block = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """So many bytes, not cleared. Raises StudyTooLarge."""
        if size > self._limit_bytes:
            raise StudyTooLarge(f"one instance has {size / 2**20:.0f} MiB")
        if size > _BLOCK_BYTES:
            return np.empty(size, np.uint8).data
        if size > len(self._block):
            self._block = self._pool.lend()
        taken = self._block[:size]
        self._block = self._block[-(-size // _ALIGNMENT) * _ALIGNMENT :]
        return taken
