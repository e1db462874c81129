"""Brings each new snapshot to every router replica, and says so when one does not follow.

A replica that misses a push also pulls every few seconds; only one that does neither is an alarm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from serve_apps.adapters.broadcast import DEPLOYMENTS, ServeHandles
from serve_apps.application.routing_snapshot import RoutingSnapshot

logger = logging.getLogger("serinus.controller")
PUSH_DEADLINE_S = 1.0
AGAIN_S = 1.0
GRACE_S = 10.0


class RouterPush:
    """`alarm` is set while a router has not taken the newest snapshot for longer than GRACE_S."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.alarm: str | None = None
        self._clock = clock
        self._handles = ServeHandles()
        self._newest = RoutingSnapshot()
        self._behind_since: float | None = None

    async def push(self, snapshot: RoutingSnapshot) -> None:
        """Push once to all replicas that live now; whoever does not confirm is asked again by `run_forever`."""
        self._newest = snapshot
        self.note(await self._broadcast(snapshot))

    async def run_forever(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            if self._behind_since is not None:
                self.note(await self._broadcast(self._newest))

    def note(self, answers: Sequence[object]) -> None:
        """Take the generations that the replicas answered with, or the errors."""
        behind = [a for a in answers if not isinstance(a, int) or a < self._newest.generation]
        if answers and not behind:
            self._behind_since = self.alarm = None
            return
        if self._behind_since is None:
            self._behind_since = self._clock()
        if self._clock() - self._behind_since > GRACE_S:
            told = f"{len(behind)} of {len(answers)}" if answers else "all"
            self.alarm = f"{told} router replicas are behind generation {self._newest.generation}"
            logger.error("controller.router_behind", extra={"generation": self._newest.generation})

    async def _broadcast(self, snapshot: RoutingSnapshot) -> Sequence[object]:
        answers = await asyncio.gather(*(self._push_to(deployment, snapshot) for deployment in DEPLOYMENTS))
        return [answer for of_deployment in answers for answer in of_deployment]

    async def _push_to(self, deployment: str, snapshot: RoutingSnapshot) -> Sequence[object]:
        try:
            async with asyncio.timeout(PUSH_DEADLINE_S):
                replies = await self._handles.send_to_all(deployment, "push_snapshot", snapshot)
                return await asyncio.gather(*replies, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 - the deployment may be starting, or gone for the moment
            logger.info("controller.push_failed", extra={"error": type(error).__name__})
            return []
