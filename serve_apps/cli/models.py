"""`models register | sign | list | verify | schema`: what is in the registry, and whether its signature holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from core.errors import SerinusError
from registry.mlflow_output import silence_mlflow
from serve_apps.cli.output import AsJson, fail, out, print_json, progress, table
from serve_apps.settings import load_settings

app = typer.Typer(no_args_is_help=True)
Spec = Annotated[
    Path | None, typer.Option(help="What it reads and says, as YAML.", exists=True, dir_okay=False)
]
Example = Annotated[
    Path | None, typer.Option(help="One synthetic input (.npy) to prove it by.", exists=True, dir_okay=False)
]
Reference = Annotated[
    Path | None,
    typer.Option(help="A folder of genuine studies for the input check.", exists=True, file_okay=False),
]


@app.callback()
def before_any() -> None:
    """Register, list and verify model versions in MLflow."""
    silence_mlflow()


@app.command()
def register(
    model: Annotated[
        str | None,
        typer.Argument(help="Of the zoo: ich-triage, brain-volume, chest-film-qa; opt-in: ct-features."),
    ] = None,
    version: Annotated[int | None, typer.Option(help="Only this one of the zoo's versions.")] = None,
    spec: Spec = None,
    artifact: Annotated[
        Path | None,
        typer.Option(help="Your network: .pt2 (torch.export) or .onnx.", exists=True, dir_okay=False),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Its card, in Markdown.", exists=True, dir_okay=False)
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="NAME=PATH of a file or folder.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER, or DATASET/NAME=NUMBER.")] = None,
    example: Example = None,
    reference: Reference = None,
    alias: Annotated[str | None, typer.Option(help="Set this alias on the new version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register your own network by its files, or a model of the zoo once more: signed, with its card."""
    try:
        with progress(as_json) as say:
            if model is not None:
                if spec or artifact or card:
                    fail("name a model of the zoo, or give the files of your own", as_json)
                from serve_apps.cli import registry_rows

                rows = registry_rows.register(load_settings(), model, version, say)
            elif spec is None or artifact is None or card is None:
                fail("a network of your own needs --spec, --artifact and --card", as_json)
            else:
                from serve_apps.cli import own_versions as own

                evidence = own.Evidence(card, tuple(dataset or ()), tuple(metric or ()))
                files = own.Files(spec, example, reference)
                rows = [own.register_file(load_settings(), files, artifact, evidence, alias, say)]
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    _print_registered(rows, as_json)


@app.command()
def sign(
    model: Annotated[str, typer.Argument()],
    version: Annotated[str, typer.Argument()],
    spec: Spec = None,
    example: Example = None,
    reference: Reference = None,
    as_json: AsJson = False,
) -> None:
    """Prove and sign a version that was logged with `mlflow.pytorch` (pt2) or `mlflow.onnx`."""
    from serve_apps.cli import own_versions as own

    try:
        with progress(as_json) as say:
            rows = [own.sign(load_settings(), model, version, own.Files(spec, example, reference), say)]
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    _print_registered(rows, as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors (docs/model-spec.schema.json)."""
    from models.spec_file import spec_schema

    print_json(spec_schema())


def _print_registered(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        columns = ("model", "version", "digest")
        table("signed", columns, [tuple(row[name] for name in columns) for row in rows])


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
