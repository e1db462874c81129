"""`up`, `down`, `status`: the embedded stack of one machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import yaml

from canary.gates import SitePolicy
from registry.server import EmbeddedServerError
from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.output import AsJson, fail, out, print_json, progress, table
from serve_apps.cli.study import print_result, run_study
from serve_apps.embedded import lifecycle
from serve_apps.embedded.demo import DEMO_SAMPLES, main_study, register_demo_models
from serve_apps.embedded.ports import PortInUse
from serve_apps.embedded.ray_head import RayDidNotStart
from serve_apps.settings import Settings, load_settings

EXPECTED = (PortInUse, RayDidNotStart, EmbeddedServerError, lifecycle.NotReady, ApiError)


def up(
    demo: Annotated[bool, typer.Option(help="Register the demo models and read a real study.")] = True,
    as_json: AsJson = False,
) -> None:
    """Start MLflow, Ray and Serve; with --demo read one real study and print its result."""
    settings = demo_settings() if demo else load_settings()
    try:
        document = _bring_up(settings, demo, as_json)
    except EXPECTED as error:
        fail(str(error), as_json, type(error).__name__)
    if as_json:
        print_json(document)
        return
    if "demo" in document:
        out.print()
        print_result(document["demo"])
    out.print()
    _print_addresses(document["addresses"])


def demo_settings() -> Settings:
    """The site's settings; one that says nothing else is a research site, since nobody cleared the demo models."""
    settings = load_settings()
    if "site_policy" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"site_policy": SitePolicy.RESEARCH})


def _bring_up(settings: Settings, demo: bool, as_json: bool) -> dict[str, Any]:
    with progress(as_json) as say:
        stack = lifecycle.prepare_state(settings)
        stack = lifecycle.start_registry(settings, stack, say)
        if demo:
            register_demo_models(settings, say)
        lifecycle.start_serving(settings, stack, say)
        lifecycle.subscribe_to_registry(settings)
        lifecycle.wait_ready(settings, say)
        document: dict[str, Any] = {"addresses": addresses(settings)}
        if demo:
            sample = main_study(settings, say)
            say(f"reading the sample study {sample.id}: {DEMO_SAMPLES[sample.id]}")
            body = {"study_uid": sample.study_uid, "source": "samples", "outputs": ["json", "sr"]}
            document["demo"] = run_study(settings, body, show=not as_json)
    return document


def down(as_json: AsJson = False) -> None:
    """End exactly what `up` started; the state folder stays."""
    ended = lifecycle.stop(load_settings())
    if as_json:
        print_json({"ended": ended})
    else:
        out.print(f"ended {ended} processes" if ended else "nothing was running")


def status(as_json: AsJson = False) -> None:
    """Versions, health, queue and addresses."""
    settings = load_settings()
    document: dict[str, Any] = {
        "running": dict(lifecycle.running(settings)),
        "addresses": addresses(settings),
        "models": None,
        "queue": None,
    }
    try:
        client = ApiClient.of(settings)
        document |= {"models": client.models(), "queue": client.queue()}
    except (httpx.HTTPError, ApiError, FileNotFoundError):
        pass
    if as_json:
        print_json(document)
        return
    _print_status(document)


JOB_STATES = ("waiting", "queued", "running", "storing", "completed", "failed", "canceled")


def _print_status(document: Mapping[str, Any]) -> None:
    parts = [
        f"{name} {'[green]up[/]' if up_ else '[red]down[/]'}" for name, up_ in document["running"].items()
    ]
    out.print("  ".join(parts))
    if document["models"]:
        models = document["models"]
        table(
            f"versions (generation {models['generation']}, registry {models['registry']})",
            ("model", "version", "role", "state", "regulatory", "digest", "reason"),
            [
                (
                    v["model"],
                    v["version"],
                    v["role"],
                    v["state"],
                    v["regulatory_status"],
                    (v["digest"] or "").removeprefix("sha256:")[:12],
                    v["reason"],
                )
                for v in models["variants"]
            ],
        )
        if models["site_policy"] == SitePolicy.RESEARCH:
            out.print("[yellow]research site[/]: versions may answer that no regulator has cleared")
        for subject, alarm in models["alarms"].items():
            out.print(f"[bold red]alarm[/] {subject}: {alarm}", soft_wrap=True)
    if document["queue"] is not None:
        queue = document["queue"]
        out.print("queue  " + "  ".join(f"{state} {queue[state]}" for state in JOB_STATES))
        for pending in queue["pending_shadows"]:
            out.print(
                f"shadows  {pending['model']} {pending['version']} has {pending['studies']} studies to read"
            )
    _print_addresses(document["addresses"])


def addresses(settings: Settings) -> dict[str, str]:
    return {
        "api": settings.api_url,
        "docs": f"{settings.api_url}/docs",
        "mlflow": settings.registry_url,
        "ray": settings.dashboard_url,
        "api_key_file": str(settings.paths.api_key),
    }


def _print_addresses(found: Mapping[str, str]) -> None:
    for name, address in found.items():
        out.print(f"[bold]{name:<13}[/] {address}", soft_wrap=True)


def check_config(
    path: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Check a Serve config strictly: Serve itself accepts unknown keys."""
    from serve_apps.cli.config_check import problems

    found = problems(yaml.safe_load(path.read_text()))
    if as_json:
        print_json({"problems": found})
    for problem in () if as_json else found:
        out.print(f"[red]✗[/] {problem}", soft_wrap=True)
    if found:
        raise typer.Exit(1)
    if not as_json:
        out.print("the config is sound")
