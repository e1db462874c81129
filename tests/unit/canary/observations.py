"""Builders of observations: what is true of one model, a test states only what matters to it."""

from __future__ import annotations

from typing import Any

from canary.gates import Clearance, GateVerdict, SitePolicy, regulatory_gate
from canary.observation import (
    AppPhase,
    ModelObservation,
    RegistryView,
    VersionView,
)
from canary.target import ModelTarget, target_of

READY, LOADING, FAILED, UNWELL = AppPhase.READY, AppPhase.LOADING, AppPhase.FAILED, AppPhase.UNWELL


def gate(status: str = "cleared") -> GateVerdict:
    return regulatory_gate(Clearance(status, "d"), "d", SitePolicy.STRICT)


def view(version: str, status: str = "cleared") -> VersionView:
    return VersionView(version, "d", f"mv-ich-{version}", gate(status))


def registry(statuses: dict[str, str] | None = None, /, **aliases: str) -> RegistryView:
    """Aliases are written with `_` for `-`."""
    named = {alias.replace("_", "-"): version for alias, version in aliases.items()}
    known = statuses or {}
    return RegistryView(named, {v: view(v, known.get(v, "cleared")) for v in named.values()})


def observation(
    seen: RegistryView | None, apps: dict[str, AppPhase] | None = None, **changes: Any
) -> ModelObservation:
    return ModelObservation(
        **({"model": "ich", "registry": seen, "apps": apps or {}, "now_s": 1_000.0} | changes)
    )


def then(
    before: ModelTarget, seen: RegistryView | None, apps: dict[str, AppPhase], **changes: Any
) -> ModelTarget:
    return target_of(observation(seen, apps, state=before.state, **({"now_s": 1_001.0} | changes)))


def settled(**changes: Any) -> ModelTarget:
    """Version 1 is champion, warm and answering."""
    return target_of(observation(registry(champion="1"), {"1": READY}, **changes))


def running(step: ModelTarget) -> list[str]:
    return [v.version for v in step.run]


def answering(step: ModelTarget) -> dict[str, str]:
    return {name: v.version for name, v in step.table.answering.items()} if step.table else {}


def shadowing(step: ModelTarget) -> dict[str, int]:
    return {s.variant.name: s.share_bp for s in step.table.shadows} if step.table else {}
