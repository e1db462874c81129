"""`models register | list | verify`: what is in the registry, and whether its signature holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.errors import SerinusError
from registry.cache import NodeCache
from registry.client import ModelVersion, RegisteredModel, RegistryClient
from registry.signing import DIGEST_TAG, load_verify_key
from serve_apps.cli.output import AsJson, fail, out, print_json, progress, table
from serve_apps.settings import load_settings

app = typer.Typer(no_args_is_help=True)


@app.command()
def register(
    model: Annotated[
        str,
        typer.Argument(help="ich-triage, brain-volume, chest-film-qa; opt-in: ct-features."),
    ],
    version: Annotated[int | None, typer.Option(help="Only this one of its versions.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register a model of the zoo once more: each version signed, with its card; no alias is moved."""
    from serve_apps.embedded.demo_models import (
        DEMO_MODELS,
        OPT_IN_MODELS,
        fetch_published_weights,
        register_version,
    )

    settings = load_settings()
    zoo = DEMO_MODELS + OPT_IN_MODELS
    found = next((each for each in zoo if each.name == model), None)
    if found is None:
        fail(f"the zoo has no {model}; it has {', '.join(each.name for each in zoo)}", as_json)
    chosen = found.versions if version is None else found.versions[version - 1 : version]
    registered = []
    try:
        with progress(as_json) as say:
            fetch_published_weights(settings, found, say)
            for each in chosen:
                say(f"registering {model}")
                registered.append(register_version(settings, each))
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    rows = [{"model": r.name, "version": r.version, "digest": r.tags.get(DIGEST_TAG)} for r in registered]
    if as_json:
        print_json(rows)
    else:
        table("registered", ("model", "version", "digest"), [tuple(row.values()) for row in rows])


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """Every version of every model, with its aliases and standing."""
    client = RegistryClient(load_settings().registry_url)
    try:
        rows = _rows(client)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json(rows)
    else:
        table(
            "registry",
            ("model", "version", "aliases", "regulatory", "state", "digest"),
            [
                (
                    r["model"],
                    r["version"],
                    " ".join(r["aliases"]),
                    r["regulatory"],
                    r["state"],
                    r["digest"].removeprefix("sha256:")[:12],
                )
                for r in rows
            ],
        )


@app.command()
def verify(
    model: Annotated[str, typer.Argument()],
    version: Annotated[str | None, typer.Argument(help="Left out: every version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a version as a replica would, and check signature, digest and files. Exit code 1 if one is refused."""
    settings = load_settings()
    client = RegistryClient(settings.registry_url)
    try:
        versions = [version] if version else [found.version for found in reversed(client.versions(model))]
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    cache = NodeCache(settings.paths.models, client, load_verify_key(settings.paths.verify_key))
    rows = [_verified(cache, model, each) for each in versions]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            mark = "[green]✓[/]" if row["accepted"] else "[red]✗[/]"
            out.print(f"{mark} {model} {row['version']}  {row['digest'] or row['reason']}", soft_wrap=True)
    if not rows or not all(row["accepted"] for row in rows):
        raise typer.Exit(1)


def _verified(cache: NodeCache, model: str, version: str) -> dict[str, Any]:
    try:
        cached = cache.fetch(model, version)
    except SerinusError as error:
        return {
            "version": version,
            "accepted": False,
            "digest": None,
            "code": error.code,
            "reason": error.detail,
        }
    return {"version": version, "accepted": True, "digest": cached.digest, "code": None, "reason": None}


def _rows(client: RegistryClient) -> list[dict[str, Any]]:
    return [
        _row(model, found)
        for _, model in sorted(client.models().items())
        for found in reversed(client.versions(model.name))
    ]


def _row(model: RegisteredModel, found: ModelVersion) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": found.version,
        "aliases": sorted(a for a, v in model.aliases.items() if v == found.version),
        "regulatory": found.tags.get("regulatory.status", "none"),
        "state": found.tags.get("rollout.state", ""),
        "digest": found.tags.get(DIGEST_TAG, ""),
    }
