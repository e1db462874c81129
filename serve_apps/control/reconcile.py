"""The control loop: observe the registry and Serve, decide what should be, make it so. Level-triggered, without Ray.

A lost tick, a restart or `kill -9` costs nothing: the next tick computes the whole target from what is true then and
from what the ledger keeps. What people decide about traffic does not wait for a tick: it is applied to what was
observed last, and pushed at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from canary.observation import AppPhase
from canary.replicas import Wanted
from canary.target import ModelTarget, Target
from canary.target_memory import TargetMemory
from core.clock import now
from core.errors import SerinusError
from ledger import ModelRouting
from registry.client import ModelVersion, RegisteredModel
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot
from serve_apps.control.alias_moves import moves, registered_aliases
from serve_apps.control.desired import (
    DesiredState,
    World,
    arrivals,
    endpoints_of,
    model_observations,
    sizing_faults,
)
from serve_apps.control.judged import JudgedVersions
from serve_apps.control.observe import Observation, is_settled
from serve_apps.control.pages import Pages, pages_of
from serve_apps.control.publish import Move
from serve_apps.control.queue_watch import QueueSight
from serve_apps.control.rollout_world import Sighting
from serve_apps.control.scaling import Replicas
from serve_apps.control.snapshot import Findings, Refusal, refusals, snapshot_of
from serve_apps.control.state import ControllerState, DeployedApp
from serve_apps.control.watch import TableInForce
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.controller")
UNSETTLED_POLL_S = 0.1
LEAST_PAUSE_S = 0.05
HOLD_S = 60.0
STARTABLE = (None, AppPhase.READY, AppPhase.ASLEEP)  # in these a version is started, or given other resources


class ObserverPort(Protocol):
    async def observe(self, state: ControllerState) -> Observation: ...
    def expire(self) -> None: ...


class ApplicationsPort(Protocol):
    """Runs one application per version, as `apply.Applications` does."""

    @property
    def deployed(self) -> Mapping[str, DeployedApp]: ...
    @property
    def refused(self) -> Mapping[str, str]: ...
    def restore(self, deployed: Mapping[str, DeployedApp]) -> None: ...
    async def ensure(self, version: ServedVersion, replicas: int) -> None: ...
    async def delete(self, app_name: str) -> None: ...
    def refuse(self, app_name: str, reason: str) -> None: ...


class PublisherPort(Protocol):
    """Numbers and brings out snapshots, as `publish.Publisher` does."""

    @property
    def snapshot(self) -> RoutingSnapshot: ...
    @property
    def alarms(self) -> Mapping[str, str]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def is_leader(self) -> bool: ...
    async def lead(self) -> ControllerState | None: ...
    async def should_lead(self) -> bool: ...
    def offer(
        self, content: RoutingSnapshot, state: ControllerState, moves: Sequence[Move] = ...
    ) -> None: ...


class RoutingLedger(Protocol):
    """`ledger.routing`: what people decided."""

    def all(self) -> Mapping[str, ModelRouting]: ...
    def end_candidacy(self, model: str, version: str, expected_revision: int) -> bool: ...
    def arrived(self, model: str, names: Sequence[str]) -> object: ...


class RefusalPort(Protocol):
    def has_news(self, refused: Iterable[Refusal]) -> bool: ...
    def note(self, refused: Iterable[Refusal]) -> None: ...


class PagePort(Protocol):
    """Writes MLflow's pages, as `page_writer.PageWriter` does."""

    def take_listing(self, listings: Mapping[str, Mapping[str, ModelVersion]]) -> None: ...
    def write(self, pages: Pages, models: Mapping[str, RegisteredModel]) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the reconciler works with. `head` is `ledger.control.head`; `may_retry` says whether a failed application
    may be tried again; `alarms` are those of the data-plane watch; `queue` is what was seen last of what waits.
    """

    observer: ObserverPort
    applications: ApplicationsPort
    publisher: PublisherPort
    routing: RoutingLedger
    head: Callable[[], Any]
    refusal_log: RefusalPort
    pages: PagePort
    may_retry: Callable[[str], bool]
    alarms: Callable[[], Mapping[str, str]]
    queue: Callable[[], QueueSight | None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Decision:
    target: Target
    desired: DesiredState
    endpoints: Mapping[str, ServedVersion]
    faults: Mapping[str, str]
    wanted: Mapping[str, Wanted]


class Reconciler:
    """Keeps one application per version that has a role, and the routers' tables, as the registry and people say."""

    def __init__(
        self,
        parts: Parts,
        settings: Settings,
        clock: Callable[[], datetime] = now,
        decisions: Executor | None = None,
        notes: Executor | None = None,
    ) -> None:
        """`decisions` reads what people decided and nothing else: no download and no audit row holds it up."""
        self._p = parts
        self._settings = settings
        self._clock = clock
        self._decisions = decisions or ThreadPoolExecutor(1, "decisions")
        self._notes = notes or ThreadPoolExecutor(1, "notes")
        self._judged = JudgedVersions(settings)
        self._targets = TargetMemory()
        self._replicas = Replicas(settings.zone)
        self._state = ControllerState()
        self._has_led = self._has_former = False
        self._hold_until: float | None = None
        self._seen: Observation | None = None
        self._deciding = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Tick now: something may have changed."""
        self._wake.set()

    def registry_changed(self) -> None:
        """Ask MLflow now, which said that something changed."""
        self._p.observer.expire()
        self.wake()

    @property
    def tables_in_force(self) -> Mapping[str, TableInForce]:
        """The published tables, each with the epoch of its generation."""
        return {
            model: TableInForce(table, self._state.of(model).table_epoch)
            for model, table in self._p.publisher.snapshot.tables.items()
        }

    @property
    def wanted(self) -> Mapping[str, Wanted]:
        """How many replicas each application is to have."""
        return self._replicas.wanted

    @property
    def sighting(self) -> Sighting | None:
        """What was observed last and what came of it, while this controller leads; None before its first look."""
        if self._seen is None or not self._p.publisher.is_leader:
            return None
        return Sighting(self._seen, self._state, self.tables_in_force)

    async def decided(self) -> RoutingSnapshot:
        """Apply what people decided about traffic to what was observed last. Returns what came of it."""
        if self._seen is not None and self._p.publisher.is_leader:
            await self._decide(self._seen)
        self.wake()
        return self._p.publisher.snapshot

    async def run_forever(self) -> None:
        while True:
            started = time.monotonic()
            self._wake.clear()
            await self._guarded("tick", self.tick)
            settled = self._seen is None or is_settled(self._seen.phases)
            pause_s = self._settings.registry_poll_s if settled else UNSETTLED_POLL_S
            await self._pause(max(LEAST_PAUSE_S, pause_s - (time.monotonic() - started)))

    async def tick(self) -> None:
        """Observe, decide, act, note: what fails in one part or of one application stops no other."""
        if not self._has_led or await self._p.publisher.should_lead():
            await self._lead()
        if not self._p.publisher.is_leader:
            return
        seen = await self._p.observer.observe(self._state)
        self._seen = seen
        decision = await self._decide(seen)
        await self._apply(decision, seen)
        await self._guarded("notes", lambda: self._note(decision, seen))
        await self._guarded("pages", lambda: self._write_pages(decision, seen))

    def close(self) -> None:
        for executor in (self._decisions, self._notes):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _lead(self) -> None:
        state = await self._p.publisher.lead()
        self._has_led = True
        if state is not None:
            self._state, self._has_former = state, True
            self._p.applications.restore(state.applications)

    # ---- decide: what people want is read here and not before, so that no decision is passed by

    async def _decide(self, seen: Observation) -> _Decision:
        async with self._deciding:
            desired = await asyncio.get_running_loop().run_in_executor(self._decisions, self._desired)
            publisher, state = self._p.publisher, self._state
            judged = self._judged.of(seen.admitted)
            endpoints = endpoints_of(seen, judged, publisher.snapshot.endpoints)
            settings, at = self._settings, self._clock()
            world = World(seen, judged, desired, state, settings, publisher.epoch, at, endpoints)
            result = self._targets.target(model_observations(world))
            wanted = self._replicas.of(
                result, endpoints, self._p.applications.deployed, self._p.queue(), at=world.at
            )
            findings = Findings(
                target=result,
                seen=seen,
                endpoints=endpoints,
                not_applied=self._p.applications.refused,
                freeze=desired.freeze,
                alarms={**self._p.alarms(), **publisher.alarms},
                wanted=wanted,
            )
            if self._may_publish(seen):
                models = {model.model: model.state for model in result.models}
                registered = registered_aliases(seen, state)
                self._state = ControllerState(models, self._p.applications.deployed, registered)
                publisher.offer(snapshot_of(findings), self._state, moves(state, self._state))
            return _Decision(result, desired, endpoints, sizing_faults(judged), wanted)

    def _desired(self) -> DesiredState:
        """Read the head, then the decisions: one that comes in between has a higher revision than the one that is
        told.
        """
        head = self._p.head()
        return DesiredState(self._p.routing.all(), FreezeNotice(head.frozen, head.routing_revision))

    def _may_publish(self, seen: Observation) -> bool:
        """Whether this controller knows at least what the routers may know.

        With what the last controller left it always does. Without, it waits for MLflow, and for the versions that run
        already to be verified and to answer: the routers keep what they have meanwhile. A version that never answers
        is not waited for without end.
        """
        if self._has_former:
            return True
        if seen.registry is None:
            return False
        if self._hold_until is None:
            self._hold_until = time.monotonic() + HOLD_S
        unverified = {app_name(*key) for key in seen.pending | seen.unavailable.keys()}
        unanswered = {app for app, phase in seen.phases.items() if phase is AppPhase.LOADING}
        if (unverified | unanswered) & seen.running and time.monotonic() < self._hold_until:
            return False
        self._has_former = True
        return True

    # ---- act: what is to run is started; what no table names any more is deleted

    async def _apply(self, decision: _Decision, seen: Observation) -> None:
        for model in decision.target.models:
            for view in model.run:
                await self._guarded(
                    f"apply {view.app}",
                    lambda app=view.app: self._ensure(app, decision, seen),  # type: ignore[misc]
                )
            for version in model.delete:
                app = app_name(model.model, version)
                await self._guarded(f"delete {app}", lambda app=app: self._delete(app, seen))  # type: ignore[misc]

    async def _ensure(self, app: str, decision: _Decision, seen: Observation) -> None:
        phase, was_refused = seen.phases.get(app), app in self._p.applications.refused
        if app in decision.faults:
            self._p.applications.refuse(app, decision.faults[app])
        elif phase is AppPhase.FAILED and not was_refused:
            if self._p.may_retry(app):
                await self._p.applications.delete(app)
        elif (phase in STARTABLE or was_refused) and app in decision.endpoints:
            await self._p.applications.ensure(decision.endpoints[app], decision.wanted[app].replicas)

    async def _delete(self, app: str, seen: Observation) -> None:
        if seen.phases.get(app) is not AppPhase.STOPPING:
            await self._p.applications.delete(app)

    # ---- note: weights that ended, what arrived in time, the audit, and MLflow's pages

    async def _note(self, decision: _Decision, seen: Observation) -> None:
        refused = refusals(decision.target, seen)
        work: list[Callable[[], object]] = []
        for model in decision.target.models:
            work += self._of_routing(model, decision.desired, seen)
        if self._p.refusal_log.has_news(refused):
            work.append(lambda: self._p.refusal_log.note(refused))
        if work:
            await asyncio.get_running_loop().run_in_executor(self._notes, _run_all, work)

    def _of_routing(
        self, model: ModelTarget, desired: DesiredState, seen: Observation
    ) -> list[Callable[[], object]]:
        """A weight that has ended is taken away, unless somebody has decided anew since it was read; what was decided
        in advance and exists by now is marked as any other decision.
        """
        asked, registered = desired.of(model.model), (seen.registry or {}).get(model.model)
        names = arrivals(asked, registered.aliases, self._clock()) if registered is not None else ()
        work: list[Callable[[], object]] = []
        if model.spent_weight is not None:
            work.append(lambda: self._end_candidacy(model, asked.revision))
        if names:
            work.append(lambda: self._p.routing.arrived(model.model, names))
        return work

    def _end_candidacy(self, model: ModelTarget, revision: int) -> None:
        version = model.spent_weight
        if version is not None:
            ended = self._p.routing.end_candidacy(model.model, version, revision)
            logger.info("controller.weight_ended", extra={"model": model.model, "ended": ended})

    async def _write_pages(self, decision: _Decision, seen: Observation) -> None:
        if seen.registry is None:
            return
        variants = self._p.publisher.snapshot.variants
        self._p.pages.take_listing(seen.listings)
        frozen = decision.desired.freeze.frozen
        self._p.pages.write(pages_of(decision.target, variants, frozen=frozen), seen.registry)

    async def _guarded(self, part: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do one part of the loop: its failure is logged, and the rest goes on."""
        try:
            await work()
        except SerinusError as error:
            logger.warning("controller.failed", extra={"part": part, "error": error.code})
        except Exception as error:
            logger.exception("controller.failed", extra={"part": part, "error": type(error).__name__})

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


def _run_all(work: Sequence[Callable[[], object]]) -> None:
    for one in work:
        one()
