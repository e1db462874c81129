"""Writing down what was done, however long the ledger is away: so nothing is done twice because of that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from core.errors import LedgerUnavailable

logger = logging.getLogger("serinus.ledger")


class LeaseKeeping(Protocol):
    """Renews leases by their keys; `lost` is called, in any thread, for one that somebody else has now."""

    def keep(self, token: str, lost: Callable[[], object]) -> None: ...

    def drop(self, token: str) -> None: ...


async def until_noted(pause_s: float, note: Callable[[], Awaitable[object]]) -> None:
    """Repeat `note` until the ledger answers. Raises LeaseLost when somebody else has the work by then."""
    while True:
        try:
            await note()
            return
        except LedgerUnavailable:
            logger.warning("ledger.not_noted")
            await asyncio.sleep(pause_s)
