"""`freeze` and `unfreeze`: the kill switch, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, out, print_json


def freeze(
    reason: Annotated[str, typer.Argument(help="Stands in the audit.")], as_json: AsJson = False
) -> None:
    """The kill switch: send all traffic to the champions, and let nothing move.

    Exit code 1 if the freeze is neither recorded nor confirmed by any replica that routes.
    """
    document = ask("PUT", "/v1/freeze", as_json, {"reason": reason})
    _print(document, as_json, "frozen: all traffic goes to the champions")
    if not holds(document):
        raise typer.Exit(1)


def unfreeze(as_json: AsJson = False) -> None:
    """End the freeze: aliases and weights count again."""
    _print(ask("DELETE", "/v1/freeze", as_json), as_json, "unfrozen: aliases and weights count again")


def holds(document: Mapping[str, Any]) -> bool:
    """Whether somebody obeys the change now or will read it from the ledger."""
    return bool(document.get("recorded") or _confirmed(document))


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Who confirmed the change, who did not, and whether it is recorded, in plain words."""
    confirmed = [f"{part['replicas']} {part['deployment']}" for part in _confirmed(document)]
    lines = [f"confirmed by {', '.join(confirmed)}" if confirmed else "[bold red]confirmed by no replica[/]"]
    if missing := document.get("unconfirmed"):
        lines.append(f"[bold yellow]{missing} replicas did not confirm it in time[/]")
    recorded = bool(document.get("recorded"))
    lines.append("recorded in the ledger" if recorded else "[bold red]not recorded in the ledger[/]")
    return lines


def _confirmed(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The deployments of which at least one replica confirmed."""
    return [part for part in document.get("confirmed") or () if part["replicas"]]


def _print(document: Mapping[str, Any], as_json: bool, headline: str) -> None:
    if as_json:
        print_json(document)
        return
    out.print(headline if holds(document) else "[bold red]this does not hold[/]: ask again")
    for sentence in sentences(document):
        out.print(sentence)
