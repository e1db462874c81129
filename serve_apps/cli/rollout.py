"""`rollout schema | check`: the schema of a rollout's file for editors, and a strict check of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import SerinusError
from serve_apps.cli.output import AsJson, fail, out, print_json

if TYPE_CHECKING:
    from canary.rollout.plan import RolloutPlan

app = typer.Typer(no_args_is_help=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a rollout's file, for editors (docs/rollout-spec.schema.json)."""
    from serve_apps.rollout_spec.spec_file import rollout_schema

    print_json(rollout_schema())


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Rollouts and templates, as YAML.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read a file as strictly as a start would. Exit code 1 with every mistake: its line, its field, the reason."""
    from serve_apps.rollout_spec.spec_file import read_rollouts

    try:
        plans = read_rollouts(file.read_text(), file.name)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    except UnicodeDecodeError:
        fail(f"{file.name} is no text in UTF-8", as_json)
    if as_json:
        print_json([{"name": plan.name, "model": plan.model, "steps": len(plan.steps)} for plan in plans])
        return
    for plan in plans:
        out.print(f"[green]✓[/] {_told(plan)}", soft_wrap=True)


def _told(plan: RolloutPlan) -> str:
    ends = "ends in a promotion" if plan.promotes else "exposes nobody"
    return f"{plan.name}: {len(plan.steps)} steps for {plan.model}, {ends}"
