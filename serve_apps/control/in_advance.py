"""Decisions about a version or variant that does not exist yet: they expire, unless it comes to exist before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from canary.observation import ARM_PREFIX, CHALLENGER
from canary.routing_table import CANARY, CHAMPION
from ledger import ModelRouting
from ledger.routing_records import RULES, WEIGHT, pin_name, shadow_name


class RoutingRecord(Protocol):
    """What is read and written of `ledger.routing`."""

    def all(self) -> Mapping[str, ModelRouting]: ...
    def arrived(self, model: str, names: Collection[str]) -> ModelRouting: ...


def routing_in_force(
    record: RoutingRecord, aliases: Mapping[str, Mapping[str, str]], now: datetime
) -> Mapping[str, ModelRouting]:
    """What people have set, by model, without what has expired. `aliases` names versions, by model and alias.

    What was decided in advance and exists by now is marked as any other decision: it does not expire any more.
    """
    routing: dict[str, ModelRouting] = {}
    for model, stored in record.all().items():
        in_force = stored.in_force(now)
        names = arrivals(stored, aliases.get(model, {}), now)
        routing[model] = record.arrived(model, names).in_force(now) if names else in_force
    return routing


def arrivals(routing: ModelRouting, aliases: Mapping[str, str], now: datetime) -> frozenset[str]:
    """The names of what was decided in advance, has not expired, and whose version or variant exists."""
    variants = variants_named(aliases)
    exists = {
        WEIGHT: routing.version is not None and routing.version == aliases.get(CHALLENGER),
        RULES: all(rule.variant in variants for rule in routing.rules),
        **{shadow_name(alias): alias in aliases for alias in routing.shadow_bp},
        **{pin_name(pin.key): pin.variant in variants for pin in routing.pins},
    }
    return frozenset(
        name for name, until in routing.in_advance.items() if until > now and exists.get(name, False)
    )


def variants_named(aliases: Mapping[str, str]) -> frozenset[str]:
    """The variants that the aliases of a model make, ready or not."""
    arms = {alias for alias in aliases if alias.startswith(ARM_PREFIX)}
    canary = {CANARY} if CHALLENGER in aliases else set()
    champion = {CHAMPION} if CHAMPION in aliases else set()
    return frozenset(arms | canary | champion)
