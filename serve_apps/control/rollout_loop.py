"""Looks at the rollouts once a second while this controller leads, in a thread of its own, and brings what it did
into force at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from canary.rollout.plan import RolloutPlan
from canary.rollout.verbs import Verb
from core.errors import LeadershipLost, NotReady, SerinusError
from serve_apps.control.rollout_acts import Touched
from serve_apps.control.rollout_world import Sighting

logger = logging.getLogger("serinus.rollouts")
LOOK_INTERVAL_S = 1.0
T = TypeVar("T")


class Looks(Protocol):
    """`rollouts.Rollouts`; all raise LedgerUnavailable."""

    def look(self, sighting: Sighting) -> frozenset[Touched]: ...
    def start(self, plan: RolloutPlan, sighting: Sighting, *, actor: str) -> bool: ...
    def say(self, model: str, verb: Verb, sighting: Sighting) -> frozenset[Touched]: ...


@dataclass(frozen=True, slots=True)
class Controller:
    """What the loop needs of its controller. `sighting` is None while it does not lead or has not looked yet; `leads`
    asks the ledger; `decided` brings routing into force, `registry_changed` has MLflow asked anew.
    """

    sighting: Callable[[], Sighting | None]
    leads: Callable[[], bool]
    decided: Callable[[], Awaitable[object]]
    registry_changed: Callable[[], None]


class RolloutLoop:
    """One thread looks and hears what people say, so that neither comes between the other's reading and writing."""

    def __init__(self, rollouts: Looks, controller: Controller, executor: Executor | None = None) -> None:
        self._rollouts = rollouts
        self._c = controller
        self._executor = executor or ThreadPoolExecutor(1, "rollouts")
        self._wake = asyncio.Event()

    async def run_forever(self) -> None:
        while True:
            self._wake.clear()
            await self.once()
            try:
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def once(self) -> None:
        """One look; what fails is made up for by the next."""
        try:
            sighting = self._c.sighting()
            if sighting is not None:
                await self._follow(await self._in_thread(lambda: self._rollouts.look(sighting)))
        except SerinusError as error:
            logger.warning("rollouts.not_looked", extra={"error": error.code})
        except Exception as error:
            logger.exception("rollouts.not_looked", extra={"error": type(error).__name__})

    async def start(self, plan: RolloutPlan, actor: str) -> bool:
        """Raises as `Rollouts.start` does, and NotReady while this controller has not looked yet."""
        sighting = self._sighting()
        began = await self._in_thread(lambda: self._rollouts.start(plan, sighting, actor=actor))
        self._wake.set()
        return began

    async def say(self, model: str, verb: Verb) -> None:
        """Raises as `Rollouts.say` does, and NotReady while this controller has not looked yet."""
        sighting = self._sighting()
        await self._follow(await self._in_thread(lambda: self._rollouts.say(model, verb, sighting)))
        self._wake.set()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _sighting(self) -> Sighting:
        sighting = self._c.sighting()
        if sighting is None:
            raise NotReady("the controller does not lead, or has not looked at the registry yet")
        return sighting

    async def _follow(self, touched: frozenset[Touched]) -> None:
        if Touched.ALIASES in touched:
            self._c.registry_changed()
        if Touched.ROUTING in touched:
            await self._c.decided()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def led() -> T:
            if not self._c.leads():
                raise LeadershipLost("a newer controller leads")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._executor, led)
