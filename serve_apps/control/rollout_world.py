"""The world as a rollout sees it: from what the controller observed and what the ledger grants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from canary.observation import CHALLENGER
from canary.rollout.actions import PREVIOUS
from canary.rollout.seen import World
from canary.routing_table import BASIS_POINTS, CHAMPION, RoutingTable
from canary.verdict import Verdict
from ledger import ModelRouting
from serve_apps.control.observe import Observation
from serve_apps.control.state import ControllerState
from serve_apps.control.watch import PlaneSeen, TableInForce

ROLLOUT: Final = "rollout"  # who a weight or an alias was set by, if a declared rollout did it


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the controller observed last, what it made of it, and the tables that it published."""

    seen: Observation
    state: ControllerState
    tables: Mapping[str, TableInForce] = field(default_factory=dict)

    def alias(self, model: str, alias: str) -> str | None:
        """The version that MLflow said last."""
        registered = self.seen.last_registry.get(model)
        return None if registered is None else registered.aliases.get(alias)

    def challenger(self, model: str) -> str | None:
        """As the reconciler takes it: an alias that is missing for a moment was never away."""
        return self.alias(model, CHALLENGER) or self.state.of(model).aliases.get(CHALLENGER)

    @property
    def models(self) -> Iterable[str]:
        """Those that MLflow told of."""
        return self.seen.last_registry

    def is_admitted(self, model: str, version: str | None) -> bool:
        """Whether the version's artifact was verified and may be read from here."""
        return version in self.state.of(model).versions

    def table(self, model: str) -> RoutingTable | None:
        in_force = self.tables.get(model)
        return None if in_force is None else in_force.table


@dataclass(frozen=True, slots=True)
class Site:
    """What holds for all models at one look: the freeze, and what the watch found of the tables."""

    is_frozen: bool = False
    planes: Mapping[str, PlaneSeen] = field(default_factory=dict)


class Drains:
    """Since when which version answers as champion, as this process saw it: the former one's studies have ended when
    the longest request is over. A controller that restarts counts anew.
    """

    def __init__(self, drain: timedelta) -> None:
        self._drain = drain
        self._since: dict[str, tuple[str | None, datetime]] = {}

    def is_drained(self, model: str, answering: str | None, at: datetime) -> bool:
        version, since = self._since.get(model, (None, at))
        if version != answering or since > at:
            self._since[model] = (answering, at)
            return False
        return answering is not None and at - since >= self._drain


def aliases_seen(model: str, sighting: Sighting) -> World:
    """What the registry says, and nothing of the routers."""
    return World(
        champion=sighting.alias(model, CHAMPION),
        challenger=sighting.challenger(model),
        registry_answers=sighting.seen.registry is not None,
    )


def world_of(
    model: str,
    candidate: str | None,
    sighting: Sighting,
    routing: ModelRouting,
    site: Site,
    *,
    is_drained: bool = False,
    former_champions: tuple[str, ...] = (),
) -> World:
    """How registry and routers stand for a rollout of the candidate. `routing` is what is in force now."""
    table = sighting.table(model)
    is_candidates = candidate is not None and routing.version == candidate
    weight_bp = routing.weight_bp if is_candidates else 0
    mirror_bp = routing.mirror_bp if is_candidates else BASIS_POINTS
    refusal = _refusal(model, candidate, sighting)
    return World(
        champion=sighting.alias(model, CHAMPION),
        challenger=sighting.challenger(model),
        previous=sighting.alias(model, PREVIOUS),
        registry_answers=sighting.seen.registry is not None,
        weight_bp=weight_bp,
        slot=routing.slot,
        hand_revision=hand_revision(routing),
        mirror_bp=mirror_bp,
        shadow_ready=table is not None and _reads(table, candidate, mirror_bp),
        may_answer=refusal is None,
        gate_reason=refusal or "",
        data_plane=_plane(sighting.tables.get(model), site.planes.get(model), candidate, weight_bp),
        answering=None if table is None else table.champion.version,
        is_drained=is_drained,
        is_frozen=site.is_frozen,
        former_champions=former_champions,
    )


def hand_revision(routing: ModelRouting) -> int | None:
    """The number of the decision about the weight, if a person took it; an earlier release did not write who did."""
    if routing.version is None or routing.weight_by == ROLLOUT:
        return None
    return routing.weight_number


def _refusal(model: str, candidate: str | None, sighting: Sighting) -> str | None:
    """Why the candidate may not answer, in a sentence; None if it may."""
    view = sighting.state.of(model).versions.get(candidate) if candidate is not None else None
    if view is None:
        return f"version {candidate} is not admitted here"
    return None if view.gate.may_answer else view.gate.reason


def _reads(table: RoutingTable, candidate: str | None, share_bp: int) -> bool:
    """Whether the candidate is ready, and the routers are told to have it read that share."""
    return any((one.variant.version, one.share_bp) == (candidate, share_bp) for one in table.shadows)


def _plane(
    in_force: TableInForce | None, plane: PlaneSeen | None, candidate: str | None, weight_bp: int
) -> Verdict:
    """What readings under the table in force show; nothing yet, while that table does not grant the weight."""
    if in_force is None or plane is None:
        return Verdict.INCONCLUSIVE
    if (plane.epoch, plane.generation) != (in_force.epoch, in_force.table.generation):
        return Verdict.INCONCLUSIVE
    canary = in_force.table.canary
    granted_bp = canary.weight_bp if canary is not None and canary.variant.version == candidate else 0
    if plane.verdict is Verdict.SUCCESSFUL and granted_bp != weight_bp:
        return Verdict.INCONCLUSIVE
    return plane.verdict
