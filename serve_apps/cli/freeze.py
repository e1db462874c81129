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
    """The kill switch: all traffic to the champions, and nothing moves.

    Exit code 1 if the freeze is neither recorded nor confirmed by any process that routes.
    """
    document = ask("PUT", "/v1/freeze", as_json, {"reason": reason})
    _print(document, as_json, "frozen: all traffic goes to the champions")
    if not holds(document):
        raise typer.Exit(1)


def unfreeze(as_json: AsJson = False) -> None:
    """Let aliases and weights count again."""
    _print(ask("DELETE", "/v1/freeze", as_json), as_json, "unfrozen: aliases and weights count again")


def holds(document: Mapping[str, Any]) -> bool:
    """Whether somebody obeys the change now or will read it from the ledger."""
    return bool(document.get("recorded") or any(c["replicas"] for c in document.get("confirmed") or ()))


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Who confirmed the change, who did not, and whether it is recorded, in plain words."""
    confirmed = {str(c["deployment"]): int(c["replicas"]) for c in document.get("confirmed") or ()}
    told = ", ".join(f"{name} ({count})" for name, count in sorted(confirmed.items()) if count)
    lines = [f"confirmed by {told}" if told else "[bold red]confirmed by no process that routes[/]"]
    if missing := int(document.get("unconfirmed") or 0):
        lines.append(f"[bold yellow]{missing} processes that route did not confirm it in time[/]")
    recorded = bool(document.get("recorded"))
    lines.append("recorded in the ledger" if recorded else "[bold red]not recorded in the ledger[/]")
    return lines


def _print(document: Mapping[str, Any], as_json: bool, headline: str) -> None:
    if as_json:
        print_json(document)
        return
    out.print(headline if holds(document) else "[bold red]this does not hold[/]: ask again")
    for sentence in sentences(document):
        out.print(sentence)
