"""A file of rollouts as an argument of a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.errors import SerinusError
from serve_apps.cli.output import fail

if TYPE_CHECKING:
    from canary.rollout.plan import RolloutPlan

SpecFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="Rollouts and templates, as YAML.")
]


def plans_in(file: Path, as_json: bool) -> tuple[RolloutPlan, ...]:
    """The rollouts of a file; one with mistakes ends the command with exit code 1 and all of them."""
    from serve_apps.rollout_spec.spec_file import read_rollouts

    try:
        return read_rollouts(file.read_text(), file.name)
    except SerinusError as error:
        fail(error.detail, as_json, error.code)
    except UnicodeDecodeError:
        fail(f"{file.name} is no text in UTF-8", as_json)
