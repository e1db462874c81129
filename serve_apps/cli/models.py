"""`models register | list | verify`: what is in the registry, and whether its signature holds."""

from __future__ import annotations

from typing import Annotated

import typer

from core.errors import SerinusError
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
    from serve_apps.cli import registry_rows

    try:
        with progress(as_json) as say:
            rows = registry_rows.register(load_settings(), model, version, say)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json(rows)
    else:
        table("registered", ("model", "version", "digest"), [tuple(row.values()) for row in rows])


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """Every version of every model, with its aliases and state."""
    from serve_apps.cli import registry_rows

    try:
        rows = registry_rows.versions(load_settings())
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json(rows)
        return
    table(
        "registry",
        ("model", "version", "aliases", "regulatory", "state", "digest"),
        [
            (
                row["model"],
                row["version"],
                " ".join(row["aliases"]),
                row["regulatory"],
                row["state"],
                row["digest"].removeprefix("sha256:")[:12],
            )
            for row in rows
        ],
    )


@app.command()
def verify(
    model: Annotated[str, typer.Argument()],
    version: Annotated[str | None, typer.Argument(help="Left out: every version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a version as a replica would, and check signature, digest and files. Exit code 1 if one is refused."""
    from serve_apps.cli import registry_rows

    try:
        rows = registry_rows.verify(load_settings(), model, version)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            mark = "[green]✓[/]" if row["accepted"] else "[red]✗[/]"
            check = f"  input check: {row['input_check'] or 'none'}" if row["accepted"] else ""
            out.print(
                f"{mark} {model} {row['version']}  {row['digest'] or row['reason']}{check}", soft_wrap=True
            )
    if not rows or not all(row["accepted"] for row in rows):
        raise typer.Exit(1)
