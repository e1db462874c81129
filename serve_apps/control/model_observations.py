"""From what was observed and what people want to one observation per model. Pure, but for the time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from canary.observation import KeepWarm, ModelObservation, RegistryView, VersionView
from ledger import ModelRouting
from serve_apps.application.messages import ServedVersion, app_name
from serve_apps.control.admission import gate_of, served_of, view_of
from serve_apps.control.observer import Observation
from serve_apps.control.state_store import ControllerState
from serve_apps.settings import Settings


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What people set about traffic, as the ledger has it."""

    routing: Mapping[str, ModelRouting]
    frozen: bool


def model_observations(
    seen: Observation, desired: DesiredState, state: ControllerState, settings: Settings
) -> tuple[ModelObservation, ...]:
    """One observation per model."""
    names = {name for name, _ in seen.admitted} | set(state.models)
    return tuple(_observation(name, seen, desired, state, settings) for name in names)


def served_in(seen: Observation, settings: Settings) -> dict[str, ServedVersion]:
    """The admitted versions by the names of their applications."""
    default = settings.default_resources
    found = (served_of(each, gate_of(each, settings.site_policy), default) for each in seen.admitted.values())
    return {served.app_name: served for served in found}


def _observation(
    name: str, seen: Observation, desired: DesiredState, state: ControllerState, settings: Settings
) -> ModelObservation:
    prefix = app_name(name, "")
    registered = seen.registry.get(name) if seen.registry is not None else None
    wish = desired.routing.get(name, ModelRouting(name))
    return ModelObservation(
        model=name,
        registry=RegistryView(registered.aliases, _views(name, seen, settings)) if registered else None,
        apps={a.removeprefix(prefix): p for a, p in seen.phases.items() if a.startswith(prefix)},
        now_s=time.time(),
        rollout=wish.rollout,
        ab_test=wish.ab,
        site=wish.site(settings.assignment_key, frozen=desired.frozen),
        keep=KeepWarm(
            rollback_window_s=settings.rollback_window_s, scale_down_delay_s=settings.scale_down_delay_s
        ),
        state=state.of(name),
    )


def _views(name: str, seen: Observation, settings: Settings) -> dict[str, VersionView]:
    return {
        version: view_of(admitted, gate_of(admitted, settings.site_policy))
        for (model, version), admitted in seen.admitted.items()
        if model == name
    }
