"""What a replica asks of the rollout controller, which may be away: then the change takes effect at its next tick."""

from __future__ import annotations

import logging
from typing import Any

from canary.rollout.plan import RolloutPlan
from canary.rollout.verbs import Verb
from core.errors import SerinusError
from serve_apps.adapters.serve_calls import call
from serve_apps.application.routing_state import RoutingState

logger = logging.getLogger("serinus.controller_calls")
DEADLINE_S = 5.0


class ControllerCalls:
    """Calls the rollout controller by its handle; what it makes of a decision is taken into `routing` at once."""

    def __init__(self, controller: Any, routing: RoutingState) -> None:
        self._controller = controller
        self._routing = routing

    async def announce(self) -> None:
        """Tell the controller that something was decided, and take what it makes of it."""
        try:
            await self._routing.take(await call(self._controller.decided, deadline_s=DEADLINE_S))
        except SerinusError as error:
            logger.info("controller.announce_failed", extra={"error": error.code})

    async def start_rollout(self, plan: RolloutPlan, actor: str) -> bool:
        """Have the controller begin a rollout; whether it began. Raises as it does, and WorkerLost."""
        return bool(await call(self._controller.start_rollout, plan, actor, deadline_s=DEADLINE_S))

    async def tell_rollout(self, model: str, verb: Verb) -> None:
        """Tell the controller what a person says to a rollout. Raises as `start_rollout` does."""
        await call(self._controller.tell_rollout, model, verb, deadline_s=DEADLINE_S)

    async def wake(self) -> None:
        """Tell the controller that something changed in MLflow."""
        try:
            await call(self._controller.wake, deadline_s=DEADLINE_S)
        except SerinusError as error:
            logger.info("controller.wake_failed", extra={"error": error.code})
