"""`keys create|list|revoke`: who may call. A secret is printed once; only its digest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from core.atomic_write import atomic_write
from core.clock import now
from serve_apps.application.callers import Scope
from serve_apps.cli.api_call import ask
from serve_apps.cli.expiry import expiry_of
from serve_apps.cli.output import AsJson, fail, out, print_json, table

keys = typer.Typer(no_args_is_help=True)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="The system that will call; it stands in the audit.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; say it once for each.")],
    tenant: Annotated[
        str | None,
        typer.Option(help="Whose jobs it sees. Left out: that of the name's other keys, or the name."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="30d, 12h or 2027-01-31. Left out: never.", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Write the secret to this file (mode 0600) instead of printing it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, once. To rotate, make another of the name, then revoke the old one's id."""
    body: dict[str, Any] = {"name": name, "scopes": [each.value for each in scope], "tenant": tenant}
    if expires is not None:
        try:
            body["expires_at"] = expiry_of(expires, now()).isoformat()
        except ValueError as error:
            fail(str(error), as_json, "bad-argument")
    made = ask("POST", "/v1/keys", as_json, {key: value for key, value in body.items() if value is not None})
    if to is not None:
        atomic_write(to, made.pop("key").encode())
    if as_json:
        print_json(made)
        return
    out.print(f"key {made['id']} of {made['name']}, tenant {made['tenant']}: {', '.join(made['scopes'])}")
    out.print(
        f"its secret, which is told only now:\n{made['key']}" if to is None else f"its secret is in {to}"
    )


@keys.command(name="list")
def list_keys(as_json: AsJson = False) -> None:
    """Every key by the beginning of its secret: its scopes, its state, when it was used last."""
    document = ask("GET", "/v1/keys", as_json)
    if as_json:
        print_json(document)
        return
    columns = ("key", "name", "tenant", "scopes", "state", "expires", "last used", "made by")
    table("keys", columns, [_row(key) for key in document["keys"]])


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID|NAME", help="One key, or all keys of a name.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key; it says when every process refuses it."""
    document = ask("DELETE", f"/v1/keys/{quote(key, safe='')}", as_json)
    if as_json:
        print_json(document)
        return
    for ended in document["revoked"]:
        out.print(f"key {ended['id']} of {ended['name']} is revoked")
    out.print(f"every process refuses it within {document['in_force_within_s']:g} s, without a restart")


def _row(key: Mapping[str, Any]) -> tuple[object, ...]:
    expires = key["expires_at"] and key["expires_at"][:16]
    scopes = ", ".join(key["scopes"])
    named = (key["id"], key["name"], key["tenant"], scopes, key["state"])
    return (*named, expires or "never", key["last_used_on"], key["created_by"])
