"""From what was observed and what people decided about traffic to one observation per model. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from canary.observation import (
    ARM_PREFIX,
    CHALLENGER,
    AppPhase,
    KeepWarm,
    ModelObservation,
    RegistryView,
    RolloutView,
    VersionView,
)
from canary.routing_table import CANARY, CHAMPION
from ledger import ModelRouting
from ledger.routing_records import RULES, WEIGHT, pin_name, shadow_name
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.application.routing_snapshot import FreezeNotice
from serve_apps.control.admission import Key, Missing
from serve_apps.control.judged import Judged
from serve_apps.control.observe import Observation
from serve_apps.control.state import ControllerState
from serve_apps.settings import Settings


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What people set about traffic, as the ledger has it."""

    routing: Mapping[str, ModelRouting]
    freeze: FreezeNotice

    def of(self, model: str) -> ModelRouting:
        return self.routing.get(model, ModelRouting(model))


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision is made of. `endpoints` are the versions that can be called, by application name."""

    seen: Observation
    judged: Mapping[Key, Judged]
    desired: DesiredState
    state: ControllerState
    settings: Settings
    epoch: int
    at: datetime
    endpoints: Mapping[str, ServedVersion]


def model_observations(world: World) -> tuple[ModelObservation, ...]:
    """One observation per model that has an admitted version, or had one."""
    by_model = ByModel.of(world)
    names = set(by_model.views) | set(world.state.models)
    return tuple(_observation(name, world, by_model) for name in sorted(names))


@dataclass(frozen=True, slots=True)
class ByModel:
    """What was seen of the versions, by model and version; looked through once for all models.

    `phases` stands by the stem of the applications' names. `gone` are the versions that MLflow has no more.
    """

    phases: Mapping[str, Mapping[str, AppPhase]]
    views: Mapping[str, Mapping[str, VersionView]]
    gone: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, world: World) -> ByModel:
        seen = world.seen
        phases: dict[str, dict[str, AppPhase]] = defaultdict(dict)
        views: dict[str, dict[str, VersionView]] = defaultdict(dict)
        gone: dict[str, set[str]] = defaultdict(set)
        for app, phase in callable_phases(world).items():
            stem, _, version = app.rpartition("-")
            phases[stem][version] = phase
        for (model, version), admitted in seen.admitted.items():
            views[model][version] = world.judged[model, version].view
            if admitted.deleted:
                gone[model].add(version)
        for (model, version), verdict in seen.refused.items():
            if isinstance(verdict, Missing):
                gone[model].add(version)
        return cls(phases, views, {model: frozenset(versions) for model, versions in gone.items()})

    def phases_of(self, model: str) -> Mapping[str, AppPhase]:
        """By version. A model's name may begin another's, but no version of MLflow's has a dash."""
        return self.phases.get(app_name(model, "1").rpartition("-")[0], {})

    def views_of(self, model: str) -> Mapping[str, VersionView]:
        return self.views.get(model, {})

    def gone_of(self, model: str) -> frozenset[str]:
        return self.gone.get(model, frozenset())


def endpoints_of(
    seen: Observation, judged: Mapping[Key, Judged], former: Mapping[str, ServedVersion]
) -> dict[str, ServedVersion]:
    """The versions that can be called, by the names of their applications.

    One whose verdict is not there yet, or that MLflow does not have any more, stays as it was. So does one that was
    refused after it served, while its replicas run: they hold the bytes that were verified.
    """
    refused = {
        app
        for key, verdict in seen.refused.items()
        if not isinstance(verdict, Missing) and (app := app_name(*key)) not in seen.running
    }
    kept = {app: version for app, version in former.items() if app not in refused}
    return kept | {one.view.app: one.served for one in judged.values()}


def sizing_faults(judged: Mapping[Key, Judged]) -> dict[str, str]:
    """What is wrong with the resources that a version's tags ask for, by application."""
    return {one.view.app: one.fault for one in judged.values() if one.fault is not None}


def arrivals(routing: ModelRouting, aliases: Mapping[str, str], at: datetime) -> tuple[str, ...]:
    """The names of what was decided in advance, has not expired, and whose version or variant exists by now."""
    variants = variants_named(aliases)
    exists = {
        WEIGHT: routing.version is not None and routing.version == aliases.get(CHALLENGER),
        RULES: all(rule.variant in variants for rule in routing.rules),
        **{shadow_name(alias): alias in aliases for alias in routing.shadow_bp},
        **{pin_name(pin.key): pin.variant in variants for pin in routing.pins},
    }
    return tuple(
        sorted(name for name, until in routing.in_advance.items() if until > at and exists.get(name, False))
    )


def variants_named(aliases: Mapping[str, str]) -> frozenset[str]:
    """The variants that the aliases of a model make, ready or not."""
    arms = {alias for alias in aliases if alias.startswith(ARM_PREFIX)}
    canary = {CANARY} if CHALLENGER in aliases else set()
    champion = {CHAMPION} if CHAMPION in aliases else set()
    return frozenset(arms | canary | champion)


def _observation(model: str, world: World, by_model: ByModel) -> ModelObservation:
    settings, desired = world.settings, world.desired
    asked = desired.of(model)
    # a weight's end is decided by the target, which knows whether its version became the challenger in time
    routing = asked.in_force(world.at)
    return ModelObservation(
        model=model,
        registry=_registry(model, world, by_model),
        apps=by_model.phases_of(model),
        now_s=world.at.timestamp(),
        rollout=_rollout(asked),
        ab_test=routing.ab,
        site=routing.site(settings.assignment_key, frozen=desired.freeze.frozen),
        keep=KeepWarm(
            rollback_window_s=settings.rollback_window_s,
            scale_down_delay_s=settings.scale_down_delay_s,
            drain_s=settings.forward_timeout_s + settings.stable_reserve_s,
            alias_grace_s=settings.alias_grace_s,
        ),
        state=world.state.of(model),
        epoch=world.epoch,
    )


def callable_phases(world: World) -> dict[str, AppPhase]:
    """The phase of each application. A ready one that cannot be called yet, since its version is not verified, counts
    as one that loads: a table that names it would be lost.
    """
    return {
        app: AppPhase.LOADING if phase is AppPhase.READY and app not in world.endpoints else phase
        for app, phase in world.seen.phases.items()
    }


def _rollout(routing: ModelRouting) -> RolloutView | None:
    until = routing.in_advance.get(WEIGHT)
    if routing.rollout is None or until is None:
        return routing.rollout
    return replace(routing.rollout, in_advance_until_s=until.timestamp())


def _registry(model: str, world: World, by_model: ByModel) -> RegistryView | None:
    if world.seen.registry is None:
        return None
    registered = world.seen.registry.get(model)
    if registered is None:
        return RegistryView({}, {}, exists=False)
    return RegistryView(registered.aliases, by_model.views_of(model), by_model.gone_of(model))
