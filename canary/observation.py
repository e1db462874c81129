"""What is true now, as far as the target needs it: registry, Serve, rollout, site, and our state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from canary.gates import GateVerdict
from canary.routing_table import BASIS_POINTS, CHAMPION, AssignmentKey, RoutingTable, Rule, Slot

CHALLENGER: Final = "challenger"
SHADOW_PREFIX: Final = "shadow-"
ARM_PREFIX: Final = "arm-"


class AppPhase(StrEnum):
    """How a version's Serve application stands. Only READY may be given a study that it does not have yet."""

    LOADING = "loading"
    READY = "ready"  # RUNNING, its handle warm, the golden input answered
    ASLEEP = "asleep"  # was ready, and has no replica until a study comes that it shadows
    UNWELL = "unwell"  # was ready, and Serve is replacing its replica
    FAILED = "failed"  # will not come up
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version in the registry. `app` is the name of its Serve application."""

    version: str
    digest: str
    app: str
    gate: GateVerdict


@dataclass(frozen=True, slots=True)
class RegistryView:
    """A model in the registry: every alias with its version, and the versions that this site admitted.

    `deleted` are versions that the registry no longer has; `exists` is false when the whole model was deleted.
    """

    aliases: Mapping[str, str]
    versions: Mapping[str, VersionView]
    deleted: frozenset[str] = frozenset()
    exists: bool = True


@dataclass(frozen=True, slots=True)
class RolloutView:
    """What the rollout grants its candidate at this moment.

    `in_advance_until_s`: the weight was given before the version became the challenger, and holds only if it
    becomes so by then.
    """

    version: str
    salt: str
    weight_bp: int = 0
    mirror_bp: int = BASIS_POINTS
    slot: Slot | None = None
    in_advance_until_s: float | None = None


@dataclass(frozen=True, slots=True)
class ABView:
    """An A/B test that a person started: the weight of each `arm-…` alias."""

    salt: str
    weights_bp: Mapping[str, int]
    coverage_bp: int = BASIS_POINTS
    slot: Slot | None = None

    def __post_init__(self) -> None:
        if len(self.weights_bp) < 2 or min(self.weights_bp.values()) <= 0:
            raise ValueError("an A/B test has two or more arms with a weight each")
        if sum(self.weights_bp.values()) != BASIS_POINTS or not self.salt:
            raise ValueError("an A/B test has a salt, and weights that sum to 10000")


@dataclass(frozen=True, slots=True)
class SiteRouting:
    """What the site's people set: key, rules, shares of shadows (by alias, 100 % if not named), freeze."""

    key: AssignmentKey = AssignmentKey.PATIENT
    rules: tuple[Rule, ...] = ()
    shadow_bp: Mapping[str, int] = field(default_factory=dict)
    safety_net_bp: int = BASIS_POINTS
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class KeepWarm:
    """How long an application outlives its last role, and a role its alias, in seconds.

    `rollback_window_s` for the previous champion, `scale_down_delay_s` for any other (an alias is soon deleted by
    accident), `drain_s` for one that may or can do nothing: as long as the longest request. `alias_grace_s`: an
    alias that comes back by then was never away; it is short, for deleting `challenger` aborts a rollout.
    """

    rollback_window_s: float = 24 * 3600.0
    scale_down_delay_s: float = 600.0
    drain_s: float = 60.0
    alias_grace_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Retired:
    """A version without a role since `at_s`."""

    version: str
    at_s: float
    was_champion: bool


@dataclass(frozen=True, slots=True)
class ReconcilerState:
    """What the last observation left behind; the ledger keeps it. Empty for a model that is new.

    `champion` is the version that really answers; the alias may be ahead of it. `with_role` are the versions
    that had a role. `ready_once`: versions that have been ready since they got theirs; the table goes on naming
    them while Serve replaces their replicas. `table_epoch` is the epoch in which the table got its generation.
    `granted_salt` is the salt of the rollout whose version is the challenger, or empty; `spent_salt` that of one
    whose version became the champion: its weight does not resume, should the alias move back before it was ended.
    `missing_since`: aliases of ours that the registry has no more, and since when.
    """

    aliases: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, VersionView] = field(default_factory=dict)
    champion: str | None = None
    with_role: frozenset[str] = frozenset()
    ready_once: frozenset[str] = frozenset()
    retired: tuple[Retired, ...] = ()
    generation: int = 0
    table: RoutingTable | None = None
    table_epoch: int = 0
    granted_salt: str = ""
    spent_salt: str = ""
    missing_since: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelObservation:
    """What is true of one model now. `registry` is None while MLflow does not answer.

    `apps` holds the phase of each of the model's applications, by version. `now_s` is any clock that survives
    a restart, in seconds. `epoch` is that of the controller that observes.
    """

    model: str
    registry: RegistryView | None
    apps: Mapping[str, AppPhase]
    now_s: float
    rollout: RolloutView | None = None
    ab_test: ABView | None = None
    site: SiteRouting = field(default_factory=SiteRouting)
    keep: KeepWarm = field(default_factory=KeepWarm)
    state: ReconcilerState = field(default_factory=ReconcilerState)
    epoch: int = 0


def is_ours(alias: str) -> bool:
    """Whether an alias gives a role here; all others in the registry are somebody else's."""
    return alias in (CHAMPION, CHALLENGER) or alias.startswith((SHADOW_PREFIX, ARM_PREFIX))
