"""What people set about a model's traffic, as values, and as the document that the ledger keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from canary.observation import ABView, RolloutView, SiteRouting
from canary.routing_table import BASIS_POINTS, AssignmentKey, Rule, Slot


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
    """The kill switch as it was thrown."""

    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ModelRouting:
    """One model's traffic as people want it. `weight_bp` is for `version` alone, drawn with `salt`.

    `revision` is the ledger's routing revision at the last change; 0, without a `changed_at`, for a model that
    nobody has touched.
    """

    model: str
    version: str | None = None
    weight_bp: int = 0
    salt: str = ""
    mirror_bp: int = BASIS_POINTS
    shadow_bp: Mapping[str, int] = field(default_factory=dict)
    safety_net_bp: int = BASIS_POINTS
    pins: tuple[Pin, ...] = ()
    rules: tuple[Rule, ...] = ()
    ab: ABView | None = None
    changed_at: datetime | None = None
    revision: int = 0

    def __post_init__(self) -> None:
        shares = (self.weight_bp, self.safety_net_bp, self.mirror_bp, *self.shadow_bp.values())
        if not all(0 <= share_bp <= BASIS_POINTS for share_bp in shares):
            raise ValueError("a weight or share lies within 0..10000 basis points")
        if (self.version is None) != (not self.salt):
            raise ValueError("a version's weight has a salt, and nothing else has")

    @property
    def rollout(self) -> RolloutView | None:
        """The candidate's weight as a look at the model takes it; None while nobody has set one."""
        if self.version is None:
            return None
        return RolloutView(self.version, self.salt, self.weight_bp, self.mirror_bp)

    def site(self, key: AssignmentKey, *, frozen: bool) -> SiteRouting:
        """The rest as a look takes it; a pin goes before any rule."""
        pinned = (Rule(f"pin to {pin.variant}", pin.variant, keys=(pin.key,)) for pin in self.pins)
        return SiteRouting(key, (*pinned, *self.rules), self.shadow_bp, self.safety_net_bp, frozen)

    def pin_of(self, key: str) -> Pin | None:
        return next((pin for pin in self.pins if pin.key == key), None)


def document_of(routing: ModelRouting) -> dict[str, Any]:
    """All but model, revision and time of change, which are columns."""
    return {
        "version": routing.version,
        "weight_bp": routing.weight_bp,
        "salt": routing.salt,
        "mirror_bp": routing.mirror_bp,
        "shadow_bp": dict(routing.shadow_bp),
        "safety_net_bp": routing.safety_net_bp,
        "pins": [asdict(pin) | {"at": pin.at.isoformat()} for pin in routing.pins],
        "rules": [asdict(rule) for rule in routing.rules],
        "ab": ab_document(routing.ab),
    }


def ab_document(ab: ABView | None) -> dict[str, Any] | None:
    if ab is None:
        return None
    return {
        "salt": ab.salt,
        "weights_bp": dict(ab.weights_bp),
        "coverage_bp": ab.coverage_bp,
        "slot": asdict(ab.slot) if ab.slot else None,
    }


def routing_of(row: Mapping[str, Any]) -> ModelRouting:
    """A row of the table `routing` as it was written."""
    document = row["document"]
    plain = ("version", "weight_bp", "salt", "mirror_bp", "shadow_bp", "safety_net_bp")
    return ModelRouting(
        model=row["model"],
        **{name: document[name] for name in plain},
        pins=tuple(_pin(pin) for pin in document["pins"]),
        rules=tuple(_rule(rule) for rule in document["rules"]),
        ab=_ab(document["ab"]),
        changed_at=row["changed_at"],
        revision=row["revision"],
    )


def _pin(document: Mapping[str, Any]) -> Pin:
    at = datetime.fromisoformat(document["at"])
    return Pin(document["key"], document["variant"], document["actor"], at)


def _rule(document: Mapping[str, Any]) -> Rule:
    conditions = {name: tuple(document[name]) for name in ("sites", "modalities", "scanners", "keys")}
    return Rule(document["name"], document["variant"], **conditions)


def _ab(document: Mapping[str, Any] | None) -> ABView | None:
    if document is None:
        return None
    slot = Slot(**document["slot"]) if document["slot"] else None
    return ABView(document["salt"], document["weights_bp"], document["coverage_bp"], slot)
