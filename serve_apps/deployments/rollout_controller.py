"""The control loop: observe the registry and Serve, decide what should be, make it so. Level-triggered.

A lost tick, a restart or `kill -9` costs nothing: the next tick computes the whole target from what is true then
and from the state on disk. What people decide about traffic does not wait for a tick: it is applied to what was
observed last, and pushed at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from ray import serve

from canary.observation import AppPhase, ModelObservation, ReconcilerState
from canary.target import ModelTarget, Target, target
from core.clock import now
from ledger import Ledger
from observability.event_log import configure_logging
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.signing import load_verify_key
from serve_apps.adapters.wakeups import Wakeup
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.control.admission import AdmissionController
from serve_apps.control.app_phases import AppPhases, is_settled
from serve_apps.control.data_plane_watch import DataPlaneWatch
from serve_apps.control.in_advance import routing_in_force
from serve_apps.control.model_observations import DesiredState, model_observations, served_in
from serve_apps.control.observer import Observation, Observer
from serve_apps.control.refusal_log import RefusalLog
from serve_apps.control.router_push import RouterPush
from serve_apps.control.snapshot_view import is_spent, moved, refusals, snapshot_of
from serve_apps.control.state_store import ControllerState, MemoryFile
from serve_apps.control.version_apps import VersionApps
from serve_apps.control.version_tags import TagWriter
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.controller")
UNSETTLED_POLL_S = 0.1
LEAST_PAUSE_S = 0.05
STARTABLE = (None, AppPhase.READY, AppPhase.ASLEEP)  # in these a version is started, or given other resources


@serve.deployment(max_ongoing_requests=50, health_check_period_s=2, graceful_shutdown_timeout_s=5)
class RolloutController:
    """Keeps one application per wanted version, and the routers' tables, as the registry and people say."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc] # Serve awaits it
        configure_logging("INFO")
        self._settings = settings
        self._bell = Wakeup()
        client = RegistryClient(settings.registry_url)
        cache = NodeCache(settings.paths.models, client, load_verify_key(settings.paths.verify_key))
        desk = AdmissionController(client, cache, changed=self._bell.ring)
        self._apps = VersionApps(settings, self._bell.ring)
        self._phases = AppPhases(self._apps)
        self._observer = Observer(client, desk, self._phases, settings.registry_poll_s)
        self._tags = TagWriter(client)
        self._file = MemoryFile(settings.paths.last_known_good)
        self._memory = self._file.load()
        self._seen: Observation | None = None
        self._fleet = RoutingSnapshot()
        self._routers = RouterPush()
        self._deciding = asyncio.Lock()
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger)
        self._watch = DataPlaneWatch(self._ledger)
        self._refusals = RefusalLog(self._ledger)
        loops = (
            self._run_forever(),
            self._routers.run_forever(),
            self._watch.run_forever(lambda: self._fleet.tables),
        )
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def snapshot(self) -> RoutingSnapshot:
        """The view that routers pull."""
        return self._fleet

    async def decided(self) -> RoutingSnapshot:
        """People decided something about traffic: apply it now. Returns the view that came of it."""
        async with self._deciding:
            if self._seen is not None:
                await self._decide(self._seen)
        self._bell.ring()
        return self._fleet

    async def wake(self) -> None:
        """Something changed in MLflow: observation now."""
        self._observer.expire()
        self._bell.ring()

    async def check_health(self) -> None:
        if any(loop.done() for loop in self._loops):
            raise RuntimeError("a loop of the controller has ended")

    async def _run_forever(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._tick()
            except Exception as error:
                logger.exception("controller.tick_failed", extra={"error": type(error).__name__})
            settled = self._seen is None or is_settled(self._seen.phases)
            pause = self._settings.registry_poll_s if settled else UNSETTLED_POLL_S
            await self._bell.wait(max(LEAST_PAUSE_S, pause - (time.monotonic() - started)))

    async def _tick(self) -> None:
        seen = await self._observer.observe(self._memory)
        async with self._deciding:
            self._seen = seen
            wanted, served = await self._decide(seen)
        await self._act(wanted, seen, served)
        await self._tell(wanted, seen)

    # ---- decide: desired are read here and not before, so that none is passed by

    async def _decide(self, seen: Observation) -> tuple[Target, Mapping[str, ServedVersion]]:
        desired = await asyncio.to_thread(self._wishes, seen)
        observations = model_observations(seen, desired, self._memory, self._settings)
        wanted, served = target(observations), served_in(seen, self._settings)
        alarms = self._watch.alarms | ({"routers": self._routers.alarm} if self._routers.alarm else {})
        await self._note_transitions(observations, wanted, desired)
        await self._publish(
            snapshot_of(wanted, seen, served, alarms), {model.model: model.state for model in wanted.models}
        )
        return wanted, served

    def _wishes(self, seen: Observation) -> DesiredState:
        aliases = {name: model.aliases for name, model in (seen.registry or {}).items()}
        routing = routing_in_force(self._ledger.routing, aliases, now())
        return DesiredState(routing, self._ledger.routing.frozen() is not None)

    async def _publish(self, snapshot: RoutingSnapshot, memories: Mapping[str, ReconcilerState]) -> None:
        """Keep the memory; number the view if it differs from the last one, and push it to every router."""
        differs = replace(snapshot, generation=self._fleet.generation) != self._fleet
        if not differs and memories == self._memory.models:
            return
        generation = self._memory.generation + differs
        self._memory = ControllerState(memories, generation)
        await asyncio.to_thread(self._file.save, self._memory)
        if differs:
            self._fleet = replace(snapshot, generation=generation)
            logger.info("controller.snapshot", extra={"generation": generation})
            await self._routers.push(self._fleet)

    async def _note_transitions(
        self, observations: tuple[ModelObservation, ...], wanted: Target, desired: DesiredState
    ) -> None:
        """Every alias that moved, with old and new version: MLflow keeps no history of them.

        A weight ends with the candidacy that it was given to: should the alias come back, so must a decision.
        Called before the memory is kept: after a crash in between the move is seen and noted once more.
        """
        before = {observation.model: observation.state.aliases for observation in observations}
        for model in wanted.models:
            for alias, old, new in moved(before.get(model.model, {}), model.state.aliases):
                await asyncio.to_thread(
                    self._ledger.transitions.record,
                    model.model,
                    alias,
                    old,
                    new,
                    generation=model.state.generation,
                    reason="the alias was moved in the registry",
                )
                if old is not None and is_spent(alias, old, desired.routing.get(model.model)):
                    await asyncio.to_thread(
                        self._ledger.routing.set_weight, model.model, old, 0, actor="controller"
                    )

    # ---- act: what is to run is started; what no table names any more is deleted

    async def _act(self, wanted: Target, seen: Observation, served: Mapping[str, ServedVersion]) -> None:
        for model in wanted.models:
            await self._start(model, seen, served)
            for version in model.delete:
                await self._delete(app_name(model.model, version), seen)

    async def _start(
        self, model: ModelTarget, seen: Observation, served: Mapping[str, ServedVersion]
    ) -> None:
        for view in model.run:
            phase = seen.phases.get(view.app)
            if phase is AppPhase.FAILED and self._phases.may_retry(view.app):
                await self._apps.delete(view.app)
            elif phase in STARTABLE and view.app in served:
                await self._apps.ensure(served[view.app], may_sleep=view.version in model.may_sleep)

    async def _delete(self, app: str, seen: Observation) -> None:
        if seen.phases.get(app) is not AppPhase.STOPPING:
            logger.info("controller.delete", extra={"app": app})
            await self._apps.delete(app)

    # ---- tell: the audit and MLflow's pages

    async def _tell(self, wanted: Target, seen: Observation) -> None:
        await asyncio.to_thread(self._refusals.note, refusals(wanted, seen))
        if seen.registry is not None:
            await self._tags.write(self._fleet.variants)
