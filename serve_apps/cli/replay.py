"""`replay`: have a version read in silence what the champion has answered; follow it, list replays, cancel one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, Say, fail, out, print_json, progress, table

app = typer.Typer(invoke_without_command=True)
PATH = "/v1/replays"
OVER = ("done", "canceled")
POLL_S = 1.0
ReplayId = Annotated[str, typer.Argument(help="As `replay list` names it.")]


@app.callback()
def replay(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="The registered model in MLflow.")] = None,
    candidate: Annotated[str | None, typer.Option(help="The version that is to read.")] = None,
    last: Annotated[int, typer.Option(min=1, max=5000, help="Patients, each by the newest study.")] = 500,
    since: Annotated[str | None, typer.Option(help="Nothing before: 2026-05-01, or a time.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it until it is over.")] = True,
    as_json: AsJson = False,
) -> None:
    """Have a version read what the champion has answered, behind all other work (docs/replay.md)."""
    if context.invoked_subcommand is not None:
        return
    if model is None or candidate is None:
        fail("say which version is to read: --model and --candidate", as_json)
    body: dict[str, Any] = {"model": model, "candidate": candidate, "last": last}
    if since is not None:
        body["since"] = _moment(since, as_json)
    started: Mapping[str, Any] = ask("POST", PATH, as_json, body)
    if wait:
        with progress(as_json) as say:
            started = _followed(started, as_json, say)
    _show(started, as_json)


@app.command(name="list")
def list_replays(
    model: Annotated[str | None, typer.Option(help="Left out: all models.")] = None,
    as_json: AsJson = False,
) -> None:
    """The newest fifty replays."""
    document = ask("GET", PATH if model is None else f"{PATH}?model={quote(model, safe='')}", as_json)
    if as_json:
        print_json(document)
        return
    columns = (
        "replay",
        "model",
        "version",
        "against",
        "began",
        "state",
        "asked",
        "read",
        "failed",
        "waiting",
    )
    table("replays", columns, [_row(one) for one in document["replays"]])


@app.command()
def show(replay_id: ReplayId, as_json: AsJson = False) -> None:
    """How far a replay has come."""
    _show(ask("GET", _path(replay_id), as_json), as_json)


@app.command()
def cancel(replay_id: ReplayId, as_json: AsJson = False) -> None:
    """Give up what is not read yet; what was read stays."""
    _show(ask("DELETE", _path(replay_id), as_json), as_json)


def _followed(document: Mapping[str, Any], as_json: bool, say: Say) -> Mapping[str, Any]:
    """The replay once it is over; each change is told meanwhile. Who stops looking stops nothing."""
    said = ""
    while True:
        if (line := _progress(document)) != said:
            said = line
            say(line)
        if document["state"] in OVER:
            return document
        time.sleep(POLL_S)
        document = ask("GET", _path(document["id"]), as_json)


def _progress(one: Mapping[str, Any]) -> str:
    if one["asked"] is None:
        return "its studies are being looked for"
    counts = f"{_ended(one)} of {one['asked']} studies: {one['done']} read{_failures(one)}"
    return f"{counts}; {one['reason']}" if one["reason"] else counts


def _show(one: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    versions = f"{one['model']}: version {one['candidate']} against {one['champion']}"
    out.print(f"replay {one['id']} of {versions}: {one['state']}", soft_wrap=True)
    out.print(f"{_progress(one)}; {one['waiting']} wait", soft_wrap=True)
    if one["known"]:
        out.print(f"{one['known']} of {one['studies']} patients were known to the version and left out")
    if one["taken_back"]:
        out.print(f"{one['taken_back']} were taken back untouched")
    if one["run"] is None:
        out.print(
            "no rollout of the version is under way: its pairs are no evidence of one that begins later",
            soft_wrap=True,
        )


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    named = (one["id"], one["model"], one["candidate"], one["champion"], one["at"][:16], one["state"])
    return (*named, one["asked"], one["done"], sum(one["failed"].values()), one["waiting"])


def _ended(one: Mapping[str, Any]) -> int:
    failed: Mapping[str, int] = one["failed"]
    return int(one["done"]) + sum(failed.values())


def _failures(one: Mapping[str, Any]) -> str:
    return "".join(f", {number} {code}" for code, number in sorted(one["failed"].items()))


def _path(replay_id: str) -> str:
    return f"{PATH}/{quote(replay_id, safe='')}"


def _moment(text: str, as_json: bool) -> str:
    """A date or a time, of this machine's zone where it names none."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        fail("--since is a date or a time: 2026-05-01, or 2026-05-01T08:00", as_json)
