"""`variants`, `route`, `explain`, `freeze`, `unfreeze`: who reads what, why, and how to change it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
import yaml

from serve_apps.cli.client import ApiClient, ApiError
from serve_apps.cli.output import AsJson, fail, out, print_json, table
from serve_apps.settings import load_settings

route = typer.Typer(no_args_is_help=True)
BASIS_POINTS_PER_PERCENT = 100


def variants(as_json: AsJson = False) -> None:
    """Every version with a role: its state, and why."""
    document = ask("GET", "/v1/models", as_json)
    if as_json:
        print_json(document)
        return
    table(
        f"variants (generation {document['generation']}, registry {document['registry']})",
        ("model", "version", "role", "state", "reason"),
        [(v["model"], v["version"], v["role"], v["state"], v["reason"]) for v in document["variants"]],
    )


@route.command(name="get")
def get(as_json: AsJson = False) -> None:
    """The routing tables in force."""
    _print_routes(ask("GET", "/v1/routes", as_json), as_json)


@route.command(name="set-weight")
def set_weight(
    model: str,
    version: str,
    percent: Annotated[float, typer.Argument(help="0 to 100, in steps of 0.01.")],
    as_json: AsJson = False,
) -> None:
    """Send a share of the patients to the version behind `challenger`."""
    body = {"version": version, "weight_bp": round(percent * BASIS_POINTS_PER_PERCENT)}
    _print_routes(ask("PUT", f"/v1/routes/{model}/weight", as_json, body), as_json)


@route.command()
def shadow(
    model: str,
    alias: Annotated[str, typer.Argument(help="challenger or shadow-…")],
    percent: int,
    as_json: AsJson = False,
) -> None:
    """Have a share of the studies read in silence by the version behind an alias."""
    body = {"alias": alias, "percent": percent}
    _print_routes(ask("PUT", f"/v1/routes/{model}/shadow", as_json, body), as_json)


@route.command()
def pin(
    model: str,
    patient_id: str,
    variant: Annotated[str | None, typer.Argument(help="Left out: take the pin away.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have one patient always read by one variant; only a pseudonym of the patient is kept."""
    body = {"patient_id": patient_id, "variant": variant}
    _print_routes(ask("PUT", f"/v1/routes/{model}/pin", as_json, body), as_json)


@route.command(name="safety-net")
def safety_net(model: str, percent: float, as_json: AsJson = False) -> None:
    """Have the champion read that share of the canary's studies too; what only one saw is escalated."""
    body = {"share_bp": round(percent * BASIS_POINTS_PER_PERCENT)}
    _print_routes(ask("PUT", f"/v1/routes/{model}/safety-net", as_json, body), as_json)


@route.command()
def rules(
    model: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="YAML: a list of rules.")],
    as_json: AsJson = False,
) -> None:
    """Set a model's explicit rules: name, variant, and one or more of sites, modalities, scanners."""
    body = {"rules": yaml.safe_load(file.read_text()) or []}
    _print_routes(ask("PUT", f"/v1/routes/{model}/rules", as_json, body), as_json)


@route.command()
def abandon(
    model: str,
    version: str,
    reason: Annotated[str, typer.Argument(help="Stands in the audit.")],
    as_json: AsJson = False,
) -> None:
    """Give up the silent readings that a version still owes, as when it will never run again."""
    path = f"/v1/routes/{quote(model)}/pending/{quote(version)}?reason={quote(reason)}"
    document = ask("DELETE", path, as_json)
    if as_json:
        print_json(document)
    else:
        out.print(f"{document['abandoned']} readings were given up")


def freeze(
    reason: Annotated[str, typer.Argument(help="Stands in the audit.")], as_json: AsJson = False
) -> None:
    """The kill switch: all traffic to the champions, and nothing moves."""
    _print_freeze(ask("PUT", "/v1/freeze", as_json, {"reason": reason}), as_json)


def unfreeze(as_json: AsJson = False) -> None:
    """Let aliases and weights count again."""
    _print_freeze(ask("DELETE", "/v1/freeze", as_json), as_json)


def audit(
    limit: Annotated[int, typer.Option(help="How many of the newest rows.")] = 20, as_json: AsJson = False
) -> None:
    """Who changed what, newest first, and whether the chain of rows is whole."""
    document = ask("GET", f"/v1/audit?limit={limit}", as_json)
    if as_json:
        print_json(document)
        return
    table(
        "audit",
        ("row", "at", "actor", "action", "subject", "detail"),
        [
            (
                row["sequence"],
                row["at"][:19],
                row["actor"],
                row["action"],
                row["subject"],
                json.dumps(row["detail"]),
            )
            for row in document["rows"]
        ],
    )
    broken = document["first_broken"]
    out.print("[green]the chain is whole[/]" if broken is None else f"[bold red]row {broken} was changed[/]")


def explain(job_id: Annotated[str, typer.Argument(metavar="JOB")], as_json: AsJson = False) -> None:
    """Why did this version read that study? In plain words, recomputed from the ledger."""
    document = ask("GET", f"/v1/jobs/{job_id}/explain", as_json)
    if as_json:
        print_json(document)
        return
    for decision in document["decisions"]:
        mark = "[green]✓[/]" if decision["agrees"] else "[red]✗[/]"
        out.print(f"{mark} {' '.join(decision['sentences'])}", soft_wrap=True)
    for escalation in document["escalations"]:
        out.print(f"[bold red]![/] {escalation['sentence']}", soft_wrap=True)
    if not document["decisions"]:
        out.print("nothing was decided about this job yet")


def ask(method: str, path: str, as_json: bool, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Any request to this stack's API in the name of who runs the command; a problem ends the command."""
    settings = load_settings()
    try:
        return dict(ApiClient.of(settings, actor=getpass.getuser()).ask(method, path, body))
    except ApiError as error:
        fail(str(error), as_json, error.code)
    except (httpx.HTTPError, FileNotFoundError):
        fail(f"the API at {settings.api_url} does not answer; `serinus up` starts it", as_json, "api-away")


def _print_freeze(document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    replicas = ", ".join(f"{c['deployment']} {c['replicas']}" for c in document["confirmed"])
    state = "[bold yellow]frozen[/]" if document["frozen"] else "[green]not frozen[/]"
    recorded = "recorded" if document["recorded"] else "[bold red]not recorded: the ledger is away[/]"
    out.print(f"{state}, {recorded}; confirmed by {replicas or 'nobody'}")
    if document["unconfirmed"]:
        out.print(f"[bold red]{document['unconfirmed']} replicas did not confirm in time[/]")


def _print_routes(document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    if document["frozen"]:
        out.print(f"[bold yellow]frozen[/] by {document['frozen']['by']}: {document['frozen']['reason']}")
    table(
        f"routes (generation {document['generation']})",
        ("model", "champion", "canary", "weight", "shadows", "arms", "key"),
        [_route_row(model) for model in document["models"]],
    )
    for pending in document["pending"]:
        out.print(
            f"{pending['model']} {pending['version']} has still to read {pending['studies']} studies as shadow"
        )


def _route_row(model: Mapping[str, Any]) -> tuple[object, ...]:
    canary = model["canary"]
    return (
        model["model"],
        model["champion"]["version"],
        canary["version"] if canary else None,
        f"{canary['weight_bp'] / BASIS_POINTS_PER_PERCENT:g} %" if canary else None,
        ", ".join(f"{s['version']} {s['percent']} %" for s in model["shadows"]) or None,
        ", ".join(f"{a['name']} {a['version']}" for a in model["arms"]) or None,
        model["key"],
    )
