"""From what was seen and what people wish to the looks that the target is computed from. Pure, but for the time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from canary.observation import KeepWarm, Look, RegistryView, VersionView
from ledger import ModelRouting
from serve_apps.control.admission_desk import gate_of, served_of, view_of
from serve_apps.control.controller_memory import ControllerMemory
from serve_apps.control.observer import Observation
from serve_apps.messages import ServedVersion, app_name
from serve_apps.settings import Settings


@dataclass(frozen=True, slots=True)
class Wishes:
    """What people set about traffic, as the ledger has it."""

    routing: Mapping[str, ModelRouting]
    frozen: bool


def looks_of(
    seen: Observation, wishes: Wishes, memory: ControllerMemory, settings: Settings
) -> tuple[Look, ...]:
    """One look per model."""
    names = {name for name, _ in seen.admitted} | set(memory.models)
    return tuple(_look(name, seen, wishes, memory, settings) for name in names)


def served_in(seen: Observation, settings: Settings) -> dict[str, ServedVersion]:
    """The admitted versions by the names of their applications."""
    default = settings.default_resources
    found = (served_of(each, gate_of(each, settings.site_policy), default) for each in seen.admitted.values())
    return {served.app_name: served for served in found}


def _look(name: str, seen: Observation, wishes: Wishes, memory: ControllerMemory, settings: Settings) -> Look:
    prefix = app_name(name, "")
    registered = seen.registry.get(name) if seen.registry is not None else None
    wish = wishes.routing.get(name, ModelRouting(name))
    return Look(
        model=name,
        registry=RegistryView(registered.aliases, _views(name, seen, settings)) if registered else None,
        apps={a.removeprefix(prefix): p for a, p in seen.phases.items() if a.startswith(prefix)},
        now_s=time.time(),
        rollout=wish.rollout,
        ab_test=wish.ab,
        site=wish.site(settings.assignment_key, frozen=wishes.frozen),
        keep=KeepWarm(rollback_window_s=settings.rollback_window_s, linger_s=settings.linger_s),
        memory=memory.of(name),
    )


def _views(name: str, seen: Observation, settings: Settings) -> dict[str, VersionView]:
    return {
        version: view_of(admitted, gate_of(admitted, settings.site_policy))
        for (model, version), admitted in seen.admitted.items()
        if model == name
    }
