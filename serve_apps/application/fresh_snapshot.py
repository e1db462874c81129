"""A person's decision is checked against the snapshot, which may be a moment behind the alias that they just set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from core.clock import now
from core.errors import InvalidField
from serve_apps.application.routing_snapshot import RoutingSnapshot

PATIENCE_S: Final = 1.5  # an alias is in a snapshot within a second
PAUSE_S: Final = 0.05

Check = Callable[[RoutingSnapshot], None]


class SnapshotChecks:
    """Before something is refused because it does not exist, the controller is asked to look at MLflow again.

    `look_again` asks it, and may take its time; the newer snapshot comes by its own way.
    """

    def __init__(
        self,
        snapshot: Callable[[], RoutingSnapshot],
        look_again: Callable[[], Awaitable[None]],
        patience_s: float = PATIENCE_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._snapshot = snapshot
        self._look_again = look_again
        self._patience_s = patience_s
        self._pause_s = pause_s

    async def require(self, check: Check) -> None:
        """Raises what `check` raises of the newest snapshot; InvalidField only after another look."""
        try:
            check(self._snapshot())
        except InvalidField:
            await self._wait_for(check)
            check(self._snapshot())

    async def expiry(self, check: Check, in_advance: timedelta | None) -> datetime | None:
        """When a decision expires: never if what it names exists; else it must have been asked for in advance.

        Raises what `check` raises.
        """
        if in_advance is None:
            await self.require(check)
            return None
        try:
            check(self._snapshot())
        except InvalidField:
            return now() + in_advance
        return None

    async def _wait_for(self, check: Check) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._look_again()
                while not self._passes(check):  # noqa: ASYNC110 - a snapshot comes by a push or by the ledger
                    await asyncio.sleep(self._pause_s)
        except TimeoutError:
            return

    def _passes(self, check: Check) -> bool:
        try:
            check(self._snapshot())
        except InvalidField:
            return False
        return True
