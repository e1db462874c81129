"""The routing snapshot as one replica holds it: pushed by the controller, and pulled slowly by who missed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import SerinusError
from serve_apps.adapters.serve_calls import call
from serve_apps.application.messages import ServedVersion
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.routing_state import prepare_nothing

logger = logging.getLogger("serinus.routing_state")
PULL_DEADLINE_S = 5.0
PULL_PAUSE_S = 0.5


class SnapshotPull:
    """`prepare` is given the endpoints before a snapshot comes into force."""

    def __init__(
        self,
        controller: Any,
        prepare: Callable[[Mapping[str, ServedVersion]], Awaitable[None]] = prepare_nothing,
    ) -> None:
        self.snapshot = RoutingSnapshot()
        self._controller = controller
        self._prepare = prepare

    async def take(self, snapshot: RoutingSnapshot) -> int:
        """Take a newer snapshot; returns the generation that is in force here."""
        if snapshot.generation > self.snapshot.generation:
            await self._prepare(snapshot.endpoints)
        if snapshot.generation > self.snapshot.generation:  # a newer one may have come meanwhile
            self.snapshot = snapshot
        return self.snapshot.generation

    async def follow_forever(self) -> None:
        while True:
            try:
                await self.take(await call(self._controller.snapshot, deadline_s=PULL_DEADLINE_S))
            except Exception as error:  # noqa: BLE001 - outermost loop: the controller may be restarting
                logger.info("routing.pull_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(PULL_PAUSE_S if self.snapshot.is_empty else PULL_PAUSE_S * 10)

    async def announce(self) -> None:
        """Tell the controller that something was decided, and take what it makes of it."""
        try:
            await self.take(await call(self._controller.decided, deadline_s=PULL_DEADLINE_S))
        except SerinusError as error:
            logger.info("routing.announce_failed", extra={"error": error.code})

    async def wake_controller(self) -> None:
        """Tell the controller that something changed in MLflow."""
        try:
            await call(self._controller.wake, deadline_s=PULL_DEADLINE_S)
        except SerinusError as error:
            logger.info("routing.wake_failed", extra={"error": error.code})
