"""What people set about a model's traffic, as values; the ledger keeps each as a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from canary.observation import ABView, RolloutView, SiteRouting
from canary.routing_table import BASIS_POINTS, AssignmentKey, Rule, Slot
from core.codec import from_plain, to_plain

WEIGHT: Final = "weight"
RULES: Final = "rules"
COLUMNS: Final = frozenset({"model", "revision", "changed_at"})


@dataclass(frozen=True, slots=True)
class Pin:
    """One patient or study, by pseudonym, that a person bound to a variant."""

    key: str
    variant: str
    actor: str
    at: datetime

    def __post_init__(self) -> None:
        if not (self.key and self.variant):
            raise ValueError("a pin binds a key to a variant")


@dataclass(frozen=True, slots=True)
class Freeze:
    """The kill switch as it was thrown, with the ledger's routing revision of that moment."""

    actor: str
    reason: str
    at: datetime
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ModelRouting:
    """One model's traffic as people want it. `weight_bp` is for `version` alone, drawn with its salt of `salts` among
    the patients of `slot`, the part of a layer that the model's rollouts have; without one, among all.

    `salts` remembers the salt of each version that was given a weight, until its candidacy ends. `in_advance` names
    what was asked for before its version or variant existed (`weight`, `rules`, `shadow/<alias>`, `pin/<key>`), and
    when that expires. `weight_by` is who set the weight that stands, `weight_number` counts the decisions about it.
    `revision` is the ledger's routing revision at the last change; 0, without a `changed_at`, for
    a model that nobody has touched.
    """

    model: str
    version: str | None = None
    weight_bp: int = 0
    salts: Mapping[str, str] = field(default_factory=dict)
    mirror_bp: int = BASIS_POINTS
    shadow_bp: Mapping[str, int] = field(default_factory=dict)
    safety_net_bp: int = BASIS_POINTS
    pins: tuple[Pin, ...] = ()
    rules: tuple[Rule, ...] = ()
    ab: ABView | None = None
    slot: Slot | None = None
    in_advance: Mapping[str, datetime] = field(default_factory=dict)
    weight_by: str = ""
    weight_number: int = 0
    changed_at: datetime | None = None
    revision: int = 0

    def __post_init__(self) -> None:
        shares = (self.weight_bp, self.safety_net_bp, self.mirror_bp, *self.shadow_bp.values())
        if not all(0 <= share_bp <= BASIS_POINTS for share_bp in shares):
            raise ValueError("a weight or share lies within 0..10000 basis points")
        if self.version is not None and not self.salt:
            raise ValueError("a version's weight has a salt")

    @property
    def salt(self) -> str:
        """The salt that the weight is drawn with; empty while nobody has set one."""
        return "" if self.version is None else self.salts.get(self.version, "")

    @property
    def rollout(self) -> RolloutView | None:
        """The candidate's weight as an observation of the model takes it; None while nobody has set one."""
        if self.version is None:
            return None
        return RolloutView(self.version, self.salt, self.weight_bp, self.mirror_bp, self.slot)

    def site(self, key: AssignmentKey, *, frozen: bool) -> SiteRouting:
        """The rest as an observation takes it; a pin goes before any rule."""
        pinned = (Rule(f"pin to {pin.variant}", pin.variant, keys=(pin.key,)) for pin in self.pins)
        return SiteRouting(key, (*pinned, *self.rules), self.shadow_bp, self.safety_net_bp, frozen)

    def pin_of(self, key: str) -> Pin | None:
        return next((pin for pin in self.pins if pin.key == key), None)

    def in_force(self, now: datetime) -> ModelRouting:
        """What counts now: without what was asked for in advance and has expired since."""
        expired = {name for name, until in self.in_advance.items() if until <= now}
        if not expired:
            return self
        return replace(
            self,
            weight_bp=0 if WEIGHT in expired else self.weight_bp,
            rules=() if RULES in expired else self.rules,
            shadow_bp={a: bp for a, bp in self.shadow_bp.items() if shadow_name(a) not in expired},
            pins=tuple(pin for pin in self.pins if pin_name(pin.key) not in expired),
        )


def shadow_name(alias: str) -> str:
    """A shadow's share as `in_advance` calls it."""
    return f"shadow/{alias}"


def pin_name(key: str) -> str:
    """A pin as `in_advance` calls it."""
    return f"pin/{key}"


def document_of(routing: ModelRouting) -> dict[str, Any]:
    """All but model, revision and time of change, which are columns."""
    return {name: value for name, value in to_plain(routing).items() if name not in COLUMNS}


def routing_of(row: Mapping[str, Any]) -> ModelRouting:
    """A row of the table `routing` as it was written. Raises InvalidDocument."""
    stored = from_plain(ModelRouting, row["document"] | {"model": row["model"]})
    return replace(stored, revision=row["revision"], changed_at=row["changed_at"])


def ab_document(ab: ABView | None) -> Any:
    return None if ab is None else to_plain(ab)
