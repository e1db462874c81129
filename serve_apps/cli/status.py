"""`status`: versions, health, queue, what waits for a person, and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from canary.gates import SitePolicy
from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.output import AsJson, out, print_json, table
from serve_apps.cli.stack import addresses, print_addresses
from serve_apps.settings import Settings, load_settings


def status(as_json: AsJson = False) -> None:
    """Versions, health, alarms, queue, pending shadows, dead letters and addresses."""
    from serve_apps.embedded.health import running

    settings = load_settings()
    document: dict[str, Any] = {
        "running": dict(running(settings)),
        "addresses": addresses(settings),
        "models": None,
        "queue": None,
    }
    if document["running"]["api"]:
        with suppress(ApiError):
            client = ApiClient.of(settings)
            document |= {"models": client.models(), "queue": client.queue()}
    document["advice"] = advice(document["running"], settings)
    if as_json:
        print_json(document)
        return
    print_status(document)


def advice(running: Mapping[str, bool], settings: Settings) -> list[str]:
    """What is the matter with each part that does not answer, and what to do about it."""
    own = settings.mlflow_url is None
    start = "start it again with `serinus up`" if own else f"it is your own, at {settings.registry_url}"
    sentences = {
        "mlflow": f"MLflow is down: studies are being read all the same, and no alias moves; {start}",
        "ray": "Ray is down: no study is read; `serinus up` starts it again, and what was accepted is in the ledger",
        "api": f"the API is down: `serinus up` deploys it again; logs lie in {settings.paths.logs}",
    }
    said = [part for part in ("mlflow", "ray") if not running[part]]
    if running["ray"] and not running["api"]:
        said.append("api")
    return [sentences[part] for part in said]


def print_status(document: Mapping[str, Any]) -> None:
    """The document for a person: what is wrong stands after the versions, in red."""
    out.print("  ".join(f"{name} {_up_or_down(answers)}" for name, answers in document["running"].items()))
    for sentence in document.get("advice") or ():
        _alarm(sentence)
    models, queue = document["models"], document["queue"]
    if models:
        _print_freeze(models)
        _print_versions(models)
        _print_alarms(models)
    if queue is not None:
        _print_queue(queue)
    print_addresses(document["addresses"])


def _up_or_down(answers: bool) -> str:
    return "[green]up[/]" if answers else "[red]down[/]"


def _print_versions(models: Mapping[str, Any]) -> None:
    table(
        f"versions (generation {models['generation']}, registry {models['registry']})",
        ("model", "version", "role", "state", "replicas", "regulatory", "digest", "limits", "reason"),
        [
            (
                variant["model"],
                variant["version"],
                variant["role"],
                variant["state"],
                variant.get("replicas"),
                variant["regulatory_status"],
                (variant["digest"] or "").removeprefix("sha256:")[:12],
                variant["limits"],
                variant["reason"],
            )
            for variant in models["variants"]
        ],
    )
    if models["site_policy"] == SitePolicy.RESEARCH:
        out.print("[yellow]research site[/]: versions may answer that no regulator has cleared")


def _print_freeze(models: Mapping[str, Any]) -> None:
    freeze = models.get("frozen")
    if freeze is None:
        return
    who = f" by {freeze['by']}: {freeze['reason']}" if freeze["by"] else ", which the ledger has not recorded"
    since = f" since {str(freeze['since'])[:16]}" if freeze["since"] else ""
    out.print(
        f"[bold yellow]frozen[/]{since}{who}; all traffic goes to the champions, and nothing moves",
        soft_wrap=True,
    )


def _print_alarms(models: Mapping[str, Any]) -> None:
    for subject, alarm in models["alarms"].items():
        _alarm(f"{subject}: {alarm}")
    for subject, condition in models.get("conditions", {}).items():
        out.print(f"[yellow]condition[/] {subject}: {condition}", soft_wrap=True)


def _print_queue(queue: Mapping[str, Any]) -> None:
    counts = {name: count for name, count in queue.items() if isinstance(count, int)}
    out.print("queue  " + "  ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items()))
    for pending in queue.get("pending_shadows") or ():
        out.print(f"pending shadows  {pending['model']} {pending['version']}: {pending['shadows']} studies")
    if (age_s := queue.get("oldest_shadow_s")) is not None:
        out.print(f"the oldest shadow has been pending for {age_s:.0f} s")
    for letter in queue.get("dead_letters") or ():
        _alarm(f"dead letter: {_dead_letter(letter)}")


def _dead_letter(letter: Mapping[str, Any]) -> str:
    """What was given up after all its attempts; only a person can send it now."""
    job = f" of job {letter['job_id']}" if letter["job_id"] else ""
    delivery = f"{letter['kind']}{job} to {letter['destination']}"
    reason = letter["error"] or "no reason is kept"
    return f"{delivery} was given up after {letter['attempts']} attempts: {reason}"


def _alarm(sentence: str) -> None:
    out.print(f"[bold red]alarm[/] {sentence}", soft_wrap=True)
