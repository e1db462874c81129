"""Which aliases of ours moved in MLflow, which keeps no history of them."""

from __future__ import annotations

from collections.abc import Mapping

from canary.observation import is_ours
from serve_apps.control.observe import Observation
from serve_apps.control.publish import Move
from serve_apps.control.state import ControllerState


def registered_aliases(seen: Observation, before: ControllerState) -> Mapping[str, Mapping[str, str]]:
    """The aliases of ours as MLflow has them, by model; as it had them last while it is silent."""
    if seen.registry is None:
        return before.registered
    ours = {
        name: {a: v for a, v in model.aliases.items() if is_ours(a)} for name, model in seen.registry.items()
    }
    gone: dict[str, dict[str, str]] = {name: {} for name in before.models if name not in ours}
    return ours | gone


def moves(before: ControllerState, after: ControllerState) -> tuple[Move, ...]:
    """Those that moved: also to a version that is refused, while routing is frozen, and away from every version."""
    return tuple(
        Move(name, alias, old, new, after.of(name).generation)
        for name in sorted({*before.registered, *after.registered})
        for alias, old, new in moved(before.registered_of(name), after.registered.get(name, {}))
    )


def moved(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Aliases of ours that differ: (alias, old version, new version)."""
    return tuple(
        (alias, before.get(alias), after.get(alias))
        for alias in sorted(set(before) | set(after))
        if is_ours(alias) and before.get(alias) != after.get(alias)
    )
