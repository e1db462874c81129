"""What every replica that holds the routing snapshot hears by handle, whatever else it does."""

from __future__ import annotations

import asyncio

from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot, SnapshotVersion
from serve_apps.application.routing_state import RoutingState


class RoutingReplica:
    """Base of the deployments that `adapters.broadcast` tells of snapshots and freezes.

    Its constructor starts `_routing`, and lets `_loops` run for as long as it lives.
    """

    _routing: RoutingState
    _loops: list[asyncio.Task[None]]

    async def push_snapshot(self, snapshot: RoutingSnapshot) -> SnapshotVersion:
        """Take a newer snapshot; returns the version that is in force here."""
        return await self._routing.take(snapshot)

    async def push_freeze(self, notice: FreezeNotice) -> FreezeNotice:
        """Obey a freeze, or its end, at once; returns what is in force here."""
        return self._routing.take_freeze(notice)

    async def routing_alarm(self, _: None) -> str:
        """What does not agree between this replica, the ledger and the controller; empty when all is well."""
        return self._routing.alarm or ""

    async def check_health(self) -> None:
        """Unhealthy when a loop has ended, which none ever should."""
        if any(loop.done() for loop in self._loops):
            raise RuntimeError(f"a loop of {type(self).__name__} has ended")
