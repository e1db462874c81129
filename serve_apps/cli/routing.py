"""`variants`, `route`, `audit`, `explain`: who reads what, why, and how to change it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, out, print_json, table
from serve_apps.cli.percent import in_percent, to_basis_points
from serve_apps.cli.slot import SLOT_HELP, slot_from, slot_in_words
from serve_apps.cli.truth import truth_line

route = typer.Typer(no_args_is_help=True)
InAdvance = Annotated[
    bool,
    typer.Option("--in-advance", help="The version or variant need not exist yet; expires if it never does."),
]

Percent = Annotated[float, typer.Argument(help="0 to 100, in steps of 0.01.", min=0, max=100)]


def variants(as_json: AsJson = False) -> None:
    """Every version with a role: its state, and why."""
    document = ask("GET", "/v1/models", as_json)
    if as_json:
        print_json(document)
        return
    table(
        f"variants (generation {document['generation']}, registry {document['registry']})",
        ("model", "version", "role", "state", "replicas", "limits", "reason"),
        [
            (v["model"], v["version"], v["role"], v["state"], v.get("replicas"), v["limits"], v["reason"])
            for v in document["variants"]
        ],
    )


@route.command(name="get")
def get(as_json: AsJson = False) -> None:
    """The routing tables in force."""
    _print_routes(ask("GET", "/v1/routes", as_json), as_json)


@route.command(name="set-weight")
def set_weight(
    model: str,
    version: str,
    percent: Percent,
    in_advance: InAdvance = False,
    as_json: AsJson = False,
) -> None:
    """Send a share of the patients to the version behind `challenger`."""
    body = {"version": version, "weight_bp": to_basis_points(percent)}
    _change(f"/v1/routes/{quote(model)}/weight", body, in_advance, as_json)


@route.command(name="set-layer")
def set_layer(
    model: str,
    slot: Annotated[str | None, typer.Argument(help=f"{SLOT_HELP} Left out: all patients.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a model's rollouts a slot of a layer, so that an A/B test can run beside them in another one."""
    body = {"slot": None if slot is None else slot_from(slot)}
    _change(f"/v1/routes/{quote(model)}/layer", body, False, as_json)


@route.command()
def shadow(
    model: str,
    alias: Annotated[str, typer.Argument(help="challenger or shadow-…")],
    percent: Annotated[int, typer.Argument(help="0 to 100.", min=0, max=100)],
    in_advance: InAdvance = False,
    as_json: AsJson = False,
) -> None:
    """Have the version behind an alias read a share of the studies as a shadow, whose answer nobody hears."""
    body = {"alias": alias, "percent": percent}
    _change(f"/v1/routes/{quote(model)}/shadow", body, in_advance, as_json)


@route.command()
def pin(
    model: str,
    patient_id: str,
    variant: Annotated[str | None, typer.Argument(help="Left out: take the pin away.")] = None,
    in_advance: InAdvance = False,
    as_json: AsJson = False,
) -> None:
    """Have one patient always read by one variant; only a pseudonym of the patient is kept."""
    body = {"patient_id": patient_id, "variant": variant}
    _change(f"/v1/routes/{quote(model)}/pin", body, in_advance, as_json)


@route.command(name="safety-net")
def safety_net(model: str, percent: Percent, as_json: AsJson = False) -> None:
    """Have the champion read that share of the canary's studies too; what only one saw is escalated."""
    _change(f"/v1/routes/{quote(model)}/safety-net", {"share_bp": to_basis_points(percent)}, False, as_json)


@route.command()
def rules(
    model: str,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="YAML: a list of rules.")],
    in_advance: InAdvance = False,
    as_json: AsJson = False,
) -> None:
    """Set a model's explicit rules: name, variant, and one or more of sites, modalities, scanners."""
    import yaml

    body = {"rules": yaml.safe_load(file.read_text()) or []}
    _change(f"/v1/routes/{quote(model)}/rules", body, in_advance, as_json)


@route.command()
def discard(
    model: str,
    version: str,
    reason: Annotated[str, typer.Argument(help="Stands in the audit.")],
    as_json: AsJson = False,
) -> None:
    """Discard the shadows that a version has pending, as when it will never run again."""
    path = f"/v1/routes/{quote(model)}/pending/{quote(version)}?reason={quote(reason)}"
    document = ask("DELETE", path, as_json)
    if as_json:
        print_json(document)
    else:
        out.print(f"{document['discarded']} pending shadows were discarded")


def audit(
    limit: Annotated[int, typer.Option(help="How many of the newest rows.")] = 20,
    full: Annotated[bool, typer.Option("--full", help="Verify every row, not only what is new.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who changed what, newest first, and whether the chain of rows is whole; exit code 1 if it is not."""
    document = ask("GET", f"/v1/audit?limit={limit}&full={str(full).lower()}", as_json)
    if as_json:
        print_json(document)
    else:
        _print_audit(document)
    if document["problem"]:
        raise typer.Exit(1)


def _print_audit(document: Mapping[str, Any]) -> None:
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
    whole = f"[green]the chain is whole[/] to row {document['verified_to']}"
    out.print(f"[bold red]{document['problem']}[/]" if document["problem"] else whole, soft_wrap=True)


def explain(job_id: Annotated[str, typer.Argument(metavar="JOB")], as_json: AsJson = False) -> None:
    """Why did this version read that study? In plain words, recomputed from the ledger."""
    document = ask("GET", f"/v1/jobs/{job_id}/explain", as_json)
    if as_json:
        print_json(document)
        return
    if document["same_as"]:
        out.print(
            f"nothing was read for this job: job {document['same_as']} had read the same", soft_wrap=True
        )
    if document["priority"]:
        out.print(document["priority"], soft_wrap=True)
    for sentence in document["end"]:
        out.print(f"[bold red]{sentence}[/]", soft_wrap=True)
    for decision in document["decisions"]:
        mark = "[green]✓[/]" if decision["agrees"] else "[red]✗[/]"
        out.print(f"{mark} {' '.join(decision['sentences'])}", soft_wrap=True)
    for escalation in document["escalations"]:
        out.print(f"[bold red]![/] {escalation['sentence']}", soft_wrap=True)
    for truth in document["truths"]:
        out.print(truth_line(truth), soft_wrap=True)
    if not document["decisions"] and not document["end"]:
        out.print("nothing was decided about this job yet")


def _change(path: str, body: Mapping[str, Any], in_advance: bool, as_json: bool) -> None:
    asked = {**body, "in_advance": True} if in_advance else body
    _print_routes(ask("PUT", path, as_json, asked), as_json)


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
    for model in document["models"]:
        _print_slots(model)
    for change in document.get("in_advance") or ():
        until = str(change["expires_at"])[:19]
        out.print(f"{change['model']} {change['what']} was set in advance and expires at {until}")
    for pending in document["pending"]:
        out.print(f"{pending['model']} {pending['version']} has {pending['shadows']} shadows pending")


def _print_slots(model: Mapping[str, Any]) -> None:
    for experiment, slot in (("rollouts", model.get("desired_slot")), ("A/B test", model.get("ab_slot"))):
        if slot:
            out.print(f"{model['model']} {experiment}: only patients of the slot {slot_in_words(slot)}")


def _route_row(model: Mapping[str, Any]) -> tuple[object, ...]:
    canary = model["canary"]
    return (
        model["model"],
        model["champion"]["version"],
        canary["version"] if canary else None,
        in_percent(canary["weight_bp"]) if canary else None,
        ", ".join(f"{shadow['version']} {_shadow_share(shadow)}" for shadow in model["shadows"]) or None,
        ", ".join(f"{arm['name']} {arm['version']}" for arm in model["arms"]) or None,
        model["key"],
    )


def _shadow_share(shadow: Mapping[str, Any]) -> str:
    return in_percent(shadow["share_bp"]) if "share_bp" in shadow else f"{shadow['percent']} %"
