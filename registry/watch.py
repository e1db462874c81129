"""Look at the registry once: what it says now, and which aliases moved since the last look.

Setting an alias changes no timestamp in MLflow and MLflow keeps no history, so the alias maps are compared and
each move is told with its old and new version. A webhook is only a reason to look sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from imaging.errors import RegistryUnavailable, UnknownModel
from registry.client import RegistryClient
from registry.last_known_good import (
    AliasKey,
    HeldAlias,
    KnownVersion,
    LastKnownGood,
    Snapshot,
    VersionKey,
    as_known,
    hold_missing,
    observed_aliases,
)

TAGS_ARE_OLD = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class AliasTransition:
    """An alias was set (`old` is None), moved, or vanished (`new` is None)."""

    model: str
    alias: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Poll:
    """One look. When MLflow did not answer, `live` is False and the snapshot is the last known good."""

    snapshot: Snapshot
    transitions: tuple[AliasTransition, ...]
    live: bool


def alias_diff(
    before: Mapping[AliasKey, HeldAlias], after: Mapping[AliasKey, HeldAlias]
) -> tuple[AliasTransition, ...]:
    """Every alias that is seen elsewhere than before, in order; one that is held counts as not seen."""
    old, new = _seen(before), _seen(after)
    return tuple(
        AliasTransition(*key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def _seen(aliases: Mapping[AliasKey, HeldAlias]) -> dict[AliasKey, str]:
    return {key: held.version for key, held in aliases.items() if held.missing_since is None}


def poll_once(
    client: RegistryClient,
    last_known_good: LastKnownGood,
    now: datetime,
    *,
    before: Snapshot | None = None,
    released: frozenset[AliasKey] = frozenset(),
) -> Poll:
    """Look once and keep what was seen. `before` spares reading the file; `released` aliases are let go.

    Raises RegistryUnavailable when MLflow does not answer and nothing was ever kept.
    """
    before = before or last_known_good.load()
    try:
        after = _look(client, before or Snapshot(now), now, released)
    except RegistryUnavailable:
        if before is None:
            raise
        return Poll(before, (), live=False)
    if before is None or (before.aliases, before.versions) != (after.aliases, after.versions):
        last_known_good.save(after)
    return Poll(after, alias_diff(before.aliases if before else {}, after.aliases), live=True)


def _look(client: RegistryClient, before: Snapshot, now: datetime, released: frozenset[AliasKey]) -> Snapshot:
    aliases = hold_missing(before.aliases, observed_aliases(client.models()), now, released)
    named = Snapshot(now, aliases).named_versions()
    return Snapshot(now, aliases, {key: _known(client, before, key, now) for key in named})


def _known(client: RegistryClient, before: Snapshot, key: VersionKey, now: datetime) -> KnownVersion:
    """The version's tags, read anew when they are old; a deleted version keeps those it had."""
    known = before.versions.get(key)
    if known and now - known.read_at < TAGS_ARE_OLD:
        return known
    try:
        return as_known(client.version(*key), now)
    except UnknownModel:
        return known or KnownVersion({}, now)
