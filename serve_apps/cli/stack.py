"""`up`, `down` and `check-config`: the embedded stack of one machine. What is heavy is imported by the command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from serve_apps.cli.output import AsJson, err, fail, out, print_json
from serve_apps.settings import Settings, load_settings


def up(
    demo: Annotated[bool, typer.Option(help="Register the demo models and read a real study.")] = True,
    foreground: Annotated[
        bool,
        typer.Option(help="Stay and keep the stack up; end it at SIGTERM, or when Ray ends (exit code 1)."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start MLflow, Ray and Serve; with --demo read one real study and print its result."""
    from serve_apps.cli.bring_up import EXPECTED, bring_up, demo_settings

    settings = demo_settings() if demo else load_settings()

    def start() -> None:
        _print_up(bring_up(settings, demo, as_json), as_json)

    try:
        if foreground:
            from serve_apps.cli.foreground import in_foreground

            in_foreground(settings, start, lambda text: err.print(text, soft_wrap=True))
        else:
            start()
    except EXPECTED as error:
        fail(str(error), as_json, type(error).__name__)


def _print_up(document: Mapping[str, Any], as_json: bool) -> None:
    from serve_apps.cli.study import print_result

    if as_json:
        print_json(document)
        return
    if "demo" in document:
        out.print()
        print_result(document["demo"])
    out.print()
    print_addresses(document["addresses"])


def down(as_json: AsJson = False) -> None:
    """End exactly what `up` started; the state folder stays. Exit code 1 if a process cannot be ended."""
    from serve_apps.embedded.lifecycle import stop

    ended = stop(load_settings())
    remaining = [{"pid": pid, "name": name} for pid, name in ended.remaining.items()]
    if as_json:
        print_json({"ended": ended.processes, "remaining": remaining})
    else:
        out.print(f"ended {ended.processes} processes" if ended.processes else "nothing was running")
        for process in remaining:
            named = f"{process['pid']} ({process['name']})"
            out.print(f"[bold red]process {named} cannot be ended[/], not even by a kill")
    if remaining:
        raise typer.Exit(1)


def addresses(settings: Settings) -> dict[str, str]:
    return {
        "api": settings.api_url,
        "docs": f"{settings.api_url}/docs",
        "mlflow": settings.registry_url,
        "ray": settings.dashboard_url,
        "api_key_file": str(settings.paths.orchestrator_key),
        "admin_key_file": str(settings.paths.api_key),
    }


def print_addresses(by_name: Mapping[str, str]) -> None:
    for name, address in by_name.items():
        out.print(f"[bold]{name:<13}[/] {address}", soft_wrap=True)


def check_config(
    path: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Check a Serve config strictly: Serve itself accepts unknown keys."""
    import yaml

    from serve_apps.cli.config_check import problems

    faults = problems(yaml.safe_load(path.read_text()))
    if as_json:
        print_json({"problems": faults})
    for fault in () if as_json else faults:
        out.print(f"[red]✗[/] {fault}", soft_wrap=True)
    if faults:
        raise typer.Exit(1)
    if not as_json:
        out.print("the config is sound")
