"""A place for many at once, or for one alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AloneGate:
    """Whoever wants to be alone waits until all have left, and nobody enters meanwhile. Belongs to one event loop."""

    def __init__(self) -> None:
        self._inside = 0
        self._is_claimed = False
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def enter(self, *, alone: bool) -> AsyncIterator[None]:
        while self._is_claimed:
            await self._change()
        self._is_claimed = alone
        try:
            while alone and self._inside:
                await self._change()
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
        finally:
            if alone:
                self._is_claimed = False
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()

    async def _change(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting
