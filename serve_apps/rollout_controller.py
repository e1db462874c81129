"""The control loop: observe the registry and Serve, decide what should be, make it so. Level-triggered.

A lost tick, a restart or `kill -9` costs nothing: the next look computes the whole target from what is true then
and from the memory on disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ray import serve

from canary.observation import AppPhase, KeepWarm, Look, RegistryView, VersionView
from canary.routing_table import CHAMPION, RoutingTable, Variant
from canary.target import ModelTarget, Target, is_ours, may_be_asked_to_answer, target
from imaging.errors import RegistryUnavailable
from ledger import Ledger, ModelRouting
from observability.event_log import configure_logging
from registry.cache import NodeCache
from registry.client import RegisteredModel, RegistryClient
from registry.signing import load_verify_key
from serve_apps.admission_desk import AdmissionDesk, Admitted, Refused, served_of, view_of
from serve_apps.app_phases import AppPhases
from serve_apps.clock import now
from serve_apps.controller_memory import MemoryFile
from serve_apps.data_plane_watch import DataPlaneWatch
from serve_apps.fleet import Fleet, VariantState, VariantStatus
from serve_apps.messages import ServedVersion, app_name
from serve_apps.refusal_log import Refusal, RefusalLog
from serve_apps.router_push import RouterPush
from serve_apps.settings import Settings
from serve_apps.version_apps import VersionApps
from serve_apps.version_tags import TagWriter

logger = logging.getLogger("serinus.controller")
STARTABLE = (None, AppPhase.READY, AppPhase.ASLEEP)  # in these a version is started, or given other resources


@dataclass(frozen=True, slots=True)
class Observation:
    """What one tick saw. `registry` is None while MLflow does not answer."""

    registry: Mapping[str, RegisteredModel] | None
    admitted: Mapping[tuple[str, str], Admitted]
    refused: Mapping[tuple[str, str], Refused]
    phases: Mapping[str, AppPhase]
    wishes: Mapping[str, ModelRouting]
    frozen: bool


@serve.deployment(max_ongoing_requests=50, health_check_period_s=2, graceful_shutdown_timeout_s=5)
class RolloutController:
    """Keeps one application per wanted version, and the routers' tables, as the registry says."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc] # Serve awaits it
        configure_logging("INFO")
        self._settings = settings
        self._client = RegistryClient(settings.registry_url)
        cache = NodeCache(settings.paths.models, self._client, load_verify_key(settings.paths.verify_key))
        self._desk = AdmissionDesk(self._client, cache, settings.site_policy)
        self._apps = VersionApps(settings)
        self._phases = AppPhases(self._apps)
        self._tags = TagWriter(self._client)
        self._file = MemoryFile(settings.paths.last_known_good)
        self._memory = self._file.load()
        self._fleet = Fleet()
        self._routers = RouterPush()
        self._looking = asyncio.Lock()
        self._looks_begun = 0
        self._ledger = await asyncio.to_thread(Ledger.open, settings.ledger)
        self._watch = DataPlaneWatch(self._ledger)
        self._refusals = RefusalLog(self._ledger)
        loops = (
            self._run_forever(),
            self._routers.run_forever(),
            self._watch.run_forever(lambda: self._fleet.tables),
        )
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def fleet(self) -> Fleet:
        """The view that routers pull."""
        return self._fleet

    async def wake(self) -> Fleet:
        """Look now, because something was decided; returns the view that came of it.

        Calls that come while a look is under way share the next one.
        """
        begun = self._looks_begun
        self._desk.expire()
        async with self._looking:
            if self._looks_begun == begun:
                await self._tick()
        return self._fleet

    async def check_health(self) -> None:
        if any(loop.done() for loop in self._loops):
            raise RuntimeError("a loop of the controller has ended")

    async def _run_forever(self) -> None:
        while True:
            started = time.monotonic()
            try:
                async with self._looking:
                    await self._tick()
            except Exception as error:
                logger.exception("controller.tick_failed", extra={"error": type(error).__name__})
            await asyncio.sleep(max(0.05, self._settings.registry_poll_s - (time.monotonic() - started)))

    async def _tick(self) -> None:
        self._looks_begun += 1
        seen = await self._observe()
        looks = self._looks(seen)
        wanted = target(looks)
        await self._act(wanted, seen)
        await self._note_transitions(looks, wanted)

    # ---- observe

    async def _observe(self) -> Observation:
        registry = await self._registry()
        admitted: dict[tuple[str, str], Admitted] = {}
        refused: dict[tuple[str, str], Refused] = {}
        for key in self._named(registry):
            answer = self._desk.look(*key)
            if isinstance(answer, Admitted):
                admitted[key] = answer
            elif isinstance(answer, Refused):
                refused[key] = answer
        people = await asyncio.to_thread(self._people)
        return Observation(registry, admitted, refused, await self._phases.look(), *people)

    def _people(self) -> tuple[Mapping[str, ModelRouting], bool]:
        return self._ledger.routing.all(), self._ledger.routing.frozen() is not None

    async def _registry(self) -> Mapping[str, RegisteredModel] | None:
        try:
            return await asyncio.to_thread(self._client.models)
        except RegistryUnavailable:
            return None

    def _named(self, registry: Mapping[str, RegisteredModel] | None) -> set[tuple[str, str]]:
        """Every version that an alias names now, or that we remember."""
        named = {
            (name, version)
            for name, model in (registry or {}).items()
            for alias, version in model.aliases.items()
            if is_ours(alias)
        }
        remembered = {
            (name, version) for name, memory in self._memory.models.items() for version in memory.versions
        }
        return named | remembered

    def _looks(self, seen: Observation) -> tuple[Look, ...]:
        names = {name for name, _ in seen.admitted} | set(self._memory.models)
        return tuple(self._look(name, seen) for name in names)

    def _look(self, name: str, seen: Observation) -> Look:
        prefix = app_name(name, "")
        registered = seen.registry.get(name) if seen.registry is not None else None
        wish = seen.wishes.get(name, ModelRouting(name))
        return Look(
            model=name,
            registry=RegistryView(registered.aliases, self._views(name, seen)) if registered else None,
            apps={a.removeprefix(prefix): p for a, p in seen.phases.items() if a.startswith(prefix)},
            now_s=time.time(),
            rollout=wish.rollout,
            ab_test=wish.ab,
            site=wish.site(self._settings.assignment_key, frozen=seen.frozen),
            keep=KeepWarm(rollback_window_s=self._settings.rollback_window_s),
            memory=self._memory.of(name),
        )

    def _views(self, name: str, seen: Observation) -> dict[str, VersionView]:
        return {
            version: view_of(admitted, self._desk.gate(admitted))
            for (model, version), admitted in seen.admitted.items()
            if model == name
        }

    # ---- act: start, then push, then delete

    async def _act(self, wanted: Target, seen: Observation) -> None:
        served = self._served(seen)
        for model in wanted.models:
            await self._start(model, seen, served)
        await self._remember(wanted)
        await self._publish(wanted, seen, served)
        for model in wanted.models:
            for version in model.delete:
                await self._delete(app_name(model.model, version), seen)

    def _served(self, seen: Observation) -> dict[str, ServedVersion]:
        default = self._settings.default_resources
        found = (served_of(each, self._desk.gate(each), default) for each in seen.admitted.values())
        return {served.app_name: served for served in found}

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

    async def _remember(self, wanted: Target) -> None:
        models = {model.model: model.memory for model in wanted.models}
        if models != self._memory.models:
            self._memory = replace(self._memory, models=models)
            await asyncio.to_thread(self._file.save, self._memory)

    async def _note_transitions(self, looks: tuple[Look, ...], wanted: Target) -> None:
        """Every alias that moved, with old and new version: MLflow keeps no history of them."""
        before = {look.model: look.memory.aliases for look in looks}
        for model in wanted.models:
            for alias, old, new in moved(before.get(model.model, {}), model.memory.aliases):
                await asyncio.to_thread(
                    self._ledger.transitions.record,
                    model.model,
                    alias,
                    old,
                    new,
                    now=now(),
                    generation=self._fleet.generation,
                    reason="the alias was moved in the registry",
                )

    async def _publish(self, wanted: Target, seen: Observation, served: Mapping[str, ServedVersion]) -> None:
        """Number the view if it differs from the last one, keep the number, and push it to every router."""
        fleet = self._view(wanted, seen, served)
        if replace(fleet, generation=self._fleet.generation) == self._fleet:
            return
        self._memory = replace(self._memory, generation=self._memory.generation + 1)
        await asyncio.to_thread(self._file.save, self._memory)
        self._fleet = replace(fleet, generation=self._memory.generation)
        logger.info("controller.fleet", extra={"generation": self._fleet.generation})
        await self._routers.push(self._fleet)
        await asyncio.to_thread(self._refusals.note, refusals(wanted, seen))
        await self._tags.write(self._fleet.variants)

    def _view(self, wanted: Target, seen: Observation, served: Mapping[str, ServedVersion]) -> Fleet:
        tables = wanted.tables
        named = {variant.app for table in tables.values() for variant in variants_of(table)}
        barred = champions_barred(wanted)
        return Fleet(
            registry="live" if seen.registry is not None else "last known good",
            wanted=champions_wanted(wanted, seen, barred),
            barred=barred,
            tables={name: table for name, table in tables.items() if table.champion.app in served},
            served={app: served[app] for app in sorted(named) if app in served},
            variants=statuses(wanted, seen, served),
            alarms=self._watch.alarms | ({"routers": self._routers.alarm} if self._routers.alarm else {}),
        )


def champions_wanted(wanted: Target, seen: Observation, barred: Mapping[str, str]) -> frozenset[str]:
    """The models whose champion is to be warm: all that name one, also one whose files are still on their way.

    One that was refused or may not answer will never be warm; it is shown so instead of holding up the others.
    """
    known = {m.model for m in wanted.models if CHAMPION in m.memory.aliases}
    named = {
        name
        for name, model in (seen.registry or {}).items()
        if CHAMPION in model.aliases and (name, model.aliases[CHAMPION]) not in seen.refused
    }
    return frozenset((known | named) - barred.keys())


def champions_barred(wanted: Target) -> dict[str, str]:
    """Models that nobody answers for, since the version behind `champion` may not; with the gate's reason."""
    found = {}
    for model in wanted.models:
        version = model.memory.aliases.get(CHAMPION)
        view = model.memory.versions.get(version) if version else None
        if model.table is None and view is not None and not view.gate.may_answer:
            found[model.model] = view.gate.reason
    return found


def refusals(wanted: Target, seen: Observation) -> tuple[Refusal, ...]:
    """Versions that were not admitted, and those of answering aliases that the gate keeps silent."""
    closed = [Refusal(name, version, answer.reason) for (name, version), answer in seen.refused.items()]
    for model in wanted.models:
        for alias, version in model.memory.aliases.items():
            view = model.memory.versions.get(version)
            if view is not None and may_be_asked_to_answer(alias) and not view.gate.may_answer:
                closed.append(Refusal(model.model, version, view.gate.reason))
    return tuple(closed)


def moved(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Aliases of ours that differ: (alias, old version, new version)."""
    return tuple(
        (alias, before.get(alias), after.get(alias))
        for alias in sorted(set(before) | set(after))
        if is_ours(alias) and before.get(alias) != after.get(alias)
    )


def variants_of(table: RoutingTable) -> tuple[Variant, ...]:
    return (*table.answering.values(), *(shadow.variant for shadow in table.shadows))


def statuses(
    wanted: Target, seen: Observation, served: Mapping[str, ServedVersion]
) -> tuple[VariantStatus, ...]:
    """Every version that an alias names, with its state and the reason in words."""
    rows: list[VariantStatus] = []
    for model in wanted.models:
        for standing in model.standings:
            app = app_name(model.model, standing.version)
            version = served.get(app)
            rows.append(
                VariantStatus(
                    model.model,
                    standing.version,
                    standing.role,
                    STATE_OF_PHASE.get(seen.phases.get(app, AppPhase.LOADING), VariantState.LOADING),
                    version.digest if version else None,
                    standing.reason,
                    version.regulatory_status if version else None,
                )
            )
    rows += _refused(seen)
    return tuple(sorted(rows, key=lambda row: (row.model, row.role, row.version)))


def _refused(seen: Observation) -> list[VariantStatus]:
    return [
        VariantStatus(name, version, alias, VariantState.REFUSED, refusal.digest, refusal.reason)
        for (name, version), refusal in seen.refused.items()
        for alias, pointed in (
            seen.registry[name].aliases if seen.registry and name in seen.registry else {}
        ).items()
        if pointed == version and is_ours(alias)
    ]


STATE_OF_PHASE: Mapping[AppPhase, VariantState] = {
    AppPhase.LOADING: VariantState.LOADING,
    AppPhase.READY: VariantState.WARM,
    AppPhase.ASLEEP: VariantState.ASLEEP,
    AppPhase.UNWELL: VariantState.WARM,
    AppPhase.FAILED: VariantState.FAILED,
    AppPhase.STOPPING: VariantState.STOPPING,
}
