"""What `serinus models` tells, as rows, with everything that it imports."""

from __future__ import annotations

from typing import Any

from core.errors import SerinusError, UnknownModel
from registry.cache import NodeCache
from registry.client import ModelVersion, RegisteredModel, RegistryClient
from registry.input_reference import read_reference
from registry.signing import DIGEST_TAG, load_verify_key
from serve_apps.cli.output import Say
from serve_apps.embedded.demo_models import (
    DEMO_MODELS,
    OPT_IN_MODELS,
    fetch_published_weights,
    register_version,
)
from serve_apps.settings import Settings

Row = dict[str, Any]


def register(settings: Settings, name: str, version: int | None, say: Say) -> list[Row]:
    """Register the zoo's model, or one of its versions. Raises SerinusError, UnknownModel where there is none."""
    zoo = DEMO_MODELS + OPT_IN_MODELS
    model = next((model for model in zoo if model.name == name), None)
    if model is None:
        raise UnknownModel(f"the zoo has no {name}; it has {', '.join(model.name for model in zoo)}")
    versions = model.chosen(version)
    fetch_published_weights(settings, model, say)
    rows = []
    for selected in versions:
        say(f"registering {name}")
        registered = register_version(settings, selected)
        digest = registered.tags.get(DIGEST_TAG)
        rows.append({"model": registered.name, "version": registered.version, "digest": digest})
    return rows


def versions(settings: Settings) -> list[Row]:
    """Every version of every model, with its aliases and state. Raises RegistryUnavailable."""
    client = RegistryClient(settings.registry_url)
    return [
        _row(model, version)
        for _, model in sorted(client.models().items())
        for version in reversed(client.versions(model.name))
    ]


def verify(settings: Settings, model: str, version: str | None) -> list[Row]:
    """Whether each version, or one, would be accepted by a replica. Raises RegistryUnavailable, UnknownModel."""
    client = RegistryClient(settings.registry_url)
    numbers = [version] if version else [known.version for known in reversed(client.versions(model))]
    cache = NodeCache(settings.paths.models, client, load_verify_key(settings.paths.verify_key))
    return [_verified(cache, model, number) for number in numbers]


def _verified(cache: NodeCache, model: str, version: str) -> Row:
    try:
        cached = cache.fetch(model, version)
        reference = read_reference(cached.path, cached.spec.input)
    except SerinusError as error:
        refusal = {"accepted": False, "digest": None, "code": error.code, "reason": error.detail}
        refusal |= {"input_check": None}
        return {"version": version} | refusal
    check = None if reference is None else f"{reference.kind}, {reference.false_refusal_rate:.1%}"
    row = {"version": version, "accepted": True, "digest": cached.digest, "code": None, "reason": None}
    return row | {"input_check": check}


def _row(model: RegisteredModel, version: ModelVersion) -> Row:
    return {
        "model": model.name,
        "version": version.version,
        "aliases": sorted(alias for alias, number in model.aliases.items() if number == version.version),
        "regulatory": version.tags.get("regulatory.status", "none"),
        "state": version.tags.get("rollout.state", ""),
        "digest": version.tags.get(DIGEST_TAG, ""),
    }
