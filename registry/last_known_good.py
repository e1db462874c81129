"""What the registry said last, on disk: it outlives MLflow, this process, and an alias deleted by accident.

MLflow's model page shows stale aliases after a save, and repeating the action deletes the alias; deleting a
version drops its aliases without a word. So an alias that vanishes is held: it keeps its version and tells since
when it is missing. What a missing challenger means is for the rollout to say; nothing is unloaded here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from registry.client import ModelVersion, RegisteredModel
from registry.signing import DIGEST_TAG
from registry.whole_file import write_whole

AliasKey = tuple[str, str]  # model, alias
VersionKey = tuple[str, str]  # model, version


@dataclass(frozen=True, slots=True)
class HeldAlias:
    """Where an alias points, or pointed when it was last seen."""

    version: str
    missing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A version that an alias names, with its tags as read at `read_at`."""

    tags: Mapping[str, str]
    read_at: datetime

    @property
    def digest(self) -> str | None:
        return self.tags.get(DIGEST_TAG)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry as it is to be obeyed. `taken_at` is when MLflow answered last."""

    taken_at: datetime
    aliases: Mapping[AliasKey, HeldAlias] = field(default_factory=lambda: MappingProxyType({}))
    versions: Mapping[VersionKey, KnownVersion] = field(default_factory=lambda: MappingProxyType({}))

    def age(self, now: datetime) -> timedelta:
        return now - self.taken_at

    def named_versions(self) -> frozenset[VersionKey]:
        """Every version that an alias names or named last."""
        return frozenset((model, held.version) for (model, _), held in self.aliases.items())


class RegistryView(Protocol):
    """Where the rest of the platform reads the registry from."""

    def effective(self) -> Snapshot:
        """The live view, or the last known good with its age; raises RegistryUnavailable with neither."""
        ...


def observed_aliases(models: Mapping[str, RegisteredModel]) -> dict[AliasKey, str]:
    return {
        (name, alias): version for name, model in models.items() for alias, version in model.aliases.items()
    }


def hold_missing(
    before: Mapping[AliasKey, HeldAlias],
    observed: Mapping[AliasKey, str],
    now: datetime,
    released: frozenset[AliasKey] = frozenset(),
) -> dict[AliasKey, HeldAlias]:
    """What is seen now, and what vanished without having been `released` (told to be let go)."""
    held = {key: HeldAlias(version) for key, version in observed.items()}
    for key, alias in before.items():
        if key not in observed and key not in released:
            held[key] = alias if alias.missing_since else replace(alias, missing_since=now)
    return held


class LastKnownGood:
    """One JSON file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Snapshot | None:
        """The last snapshot; None at a first start."""
        try:
            return snapshot_from_json(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None

    def save(self, snapshot: Snapshot) -> None:
        write_whole(self._path, json.dumps(snapshot_to_json(snapshot), indent=1).encode())


def snapshot_to_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "taken_at": snapshot.taken_at.isoformat(),
        "aliases": [
            [model, alias, held.version, held.missing_since.isoformat() if held.missing_since else None]
            for (model, alias), held in sorted(snapshot.aliases.items())
        ],
        "versions": [
            [model, version, dict(known.tags), known.read_at.isoformat()]
            for (model, version), known in sorted(snapshot.versions.items())
        ],
    }


def snapshot_from_json(plain: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        datetime.fromisoformat(plain["taken_at"]),
        {
            (model, alias): HeldAlias(version, datetime.fromisoformat(since) if since else None)
            for model, alias, version, since in plain["aliases"]
        },
        {
            (model, version): KnownVersion(tags, datetime.fromisoformat(read_at))
            for model, version, tags, read_at in plain["versions"]
        },
    )


def as_known(version: ModelVersion, now: datetime) -> KnownVersion:
    return KnownVersion(dict(version.tags), now)
