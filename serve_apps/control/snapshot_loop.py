"""Looks at something every few seconds while this controller leads, in a thread of its own: no rollout waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from core.errors import SerinusError
from serve_apps.application.routing_snapshot import RoutingSnapshot

LOOK_INTERVAL_S = 5.0


class SnapshotLoop:
    """`look` is given what this controller published last, `snapshot`; `leads` asks the ledger. `name` is that of the
    thread, and begins the names of its events.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[RoutingSnapshot], None],
        snapshot: Callable[[], RoutingSnapshot],
        leads: Callable[[], bool],
        executor: Executor | None = None,
    ) -> None:
        self._event = f"{name}.not_looked"
        self._logger = logging.getLogger(f"serinus.{name}")
        self._look = look
        self._snapshot = snapshot
        self._leads = leads
        self._executor = executor or ThreadPoolExecutor(1, name)

    async def run_forever(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def once(self) -> None:
        """One look; what fails is made up for by the next."""
        snapshot = self._snapshot()
        if snapshot.is_empty:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._led, snapshot)
        except SerinusError as error:
            self._logger.warning(self._event, extra={"error": error.code})
        except Exception as error:
            self._logger.exception(self._event, extra={"error": type(error).__name__})

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _led(self, snapshot: RoutingSnapshot) -> None:
        if self._leads():
            self._look(snapshot)
