"""`rollout recall`: the studies that a withdrawn version answered, and what a person says of each."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, fail, out, print_json, table

PAGE: Final = 1000
CSV_COLUMNS: Final = (
    *("item", "open", "state", "difference", "delivered_missed", "study_uid", "job", "tenant"),
    *("answered_at", "variant", "champion", "reread_at", "error_code", "score_change", "findings"),
    *("sr_sop_instance_uid", "documents", "closed_at", "closed_by", "note"),
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would calculate
Model = Annotated[str, typer.Argument(help="The registered model in MLflow.")]
Run = Annotated[int | None, typer.Option(min=1, help="Of the rollout; left out: the newest list.")]


def show(
    model: Model,
    run: Run = None,
    of_list: Annotated[str | None, typer.Option("--id", help="Of a list.")] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", dir_okay=False, help="Write all studies there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The studies that a withdrawn version answered; those that a person has to look at, the worst first."""
    whole = _whole(model, run, of_list, as_json)
    if csv_file is not None:
        _write(csv_file, whole, as_json)
    if as_json:
        print_json(whole)
        return
    _print_head(whole)
    for item in whole["items"]:
        if item["open"]:
            _print_item(item)
    if csv_file is not None:
        out.print(f"{len(whole['items'])} studies are written to {csv_file}", soft_wrap=True)


def show_all(model: Model, as_json: AsJson = False) -> None:
    """The recalls of a model, the newest first."""
    document = ask("GET", f"{_path(model)}s", as_json)
    if as_json:
        print_json(document)
        return
    columns = ("id", "version", "run", "since", "studies", "open", "to look now", "reason")
    table("recalls", columns, [_head_row(one) for one in document["recalls"]])


def begin(
    model: Model,
    run: Run = None,
    version: Annotated[str | None, typer.Option(help="Whose studies; with --since.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO 8601, as 2026-05-01T08:00:00Z.")] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Begin a recall that no rollback has begun: of a run, or of a version since a time."""
    words = {"run": run, "version": version, "since": since, "note": note}
    asked = ask("POST", _path(model), as_json, {name: value for name, value in words.items() if value})
    if as_json:
        print_json(asked)
        return
    _print_head(asked)


def done(
    model: Model,
    item: Annotated[str, typer.Argument(help="Of the list.")],
    note: Annotated[str, typer.Option(help="What came of it.")],
    as_json: AsJson = False,
) -> None:
    """Say that a person has looked at a study, and what came of it."""
    closed = ask("POST", f"{_path(model)}/items/{quote(item, safe='')}", as_json, {"note": note})
    if as_json:
        print_json(closed)
        return
    out.print(f"{closed['id']} is closed by {closed['closed_by']}", soft_wrap=True)


def _path(model: str) -> str:
    return f"/v1/rollouts/{quote(model, safe='')}/recall"


def _whole(model: str, run: int | None, of_list: str | None, as_json: bool) -> dict[str, Any]:
    """The list with all its items; the pages after the first are asked of the same list."""
    asked: dict[str, Any] = {"run": run, "id": of_list, "limit": PAGE}
    whole = _page(model, asked, as_json)
    items = list(whole["items"])
    while len(items) < whole["summary"]["studies"]:
        more = _page(model, {"id": whole["id"], "limit": PAGE, "offset": len(items)}, as_json)["items"]
        if not more:
            break
        items += more
    return {**whole, "items": items}


def _page(model: str, asked: Mapping[str, Any], as_json: bool) -> dict[str, Any]:
    given = urlencode({name: value for name, value in asked.items() if value is not None})
    return ask("GET", f"{_path(model)}?{given}", as_json)


def _print_head(known: Mapping[str, Any]) -> None:
    of_run = "" if known["run"] is None else f" (run {known['run']})"
    numbers = known["summary"]
    out.print(
        f"{numbers['studies']} studies of {known['model']} were answered by version {known['version']}{of_run} "
        f"since {known['since'][:16]}: {known['reason']}",
        soft_wrap=True,
    )
    out.print(
        f"{numbers['open']} wait for a person, {numbers['to_look_now']} of them now; {numbers['pending']} are still "
        f"to be read by the champion, {numbers['unreadable']} cannot be, {numbers['by_difference']['none']} agree",
        soft_wrap=True,
    )
    if not known["complete"]:
        out.print("studies that were on their way may still come", soft_wrap=True)


def _head_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    numbers = one["summary"]
    counts = (numbers["studies"], numbers["open"], numbers["to_look_now"])
    return (one["id"], one["version"], one["run"], one["since"][:16], *counts, one["reason"])


def _print_item(item: Mapping[str, Any]) -> None:
    """A study in lines of its own: its UIDs are to be copied, and a table would fold them."""
    study = item["study_uid"] or "a study that is no longer named"
    out.print(
        f"[bold]{_kind(item)}[/]  {study}, answered {item['answered_at'][:16]} as {item['variant']}",
        soft_wrap=True,
    )
    for line in (_findings(item), _documents(item), f"item {item['id']}"):
        if line:
            out.print(f"  {line}", soft_wrap=True)


def _kind(item: Mapping[str, Any]) -> str:
    """Why a person has to look."""
    if item["state"] == "unreadable":
        return f"cannot be read again: {item['error_code']}"
    if item["difference"] is None:
        return "not yet read again"
    return f"{item['difference']}, missed" if item["delivered_missed"] else str(item["difference"])


def _findings(item: Mapping[str, Any]) -> str:
    said = [f"{one['meaning']}: {one['delivered']}, now {one['champion']}" for one in item["findings"]]
    if item["score_change"]:
        said.append(f"score {item['score_change']:+d}")
    return "; ".join(said)


def _documents(item: Mapping[str, Any]) -> str:
    sent = [f"{one['kind']} to {one['destination']} ({one['state']})" for one in item["documents"]]
    if item["sr_sop_instance_uid"]:
        sent.append(item["sr_sop_instance_uid"])
    return "; ".join(sent)


def _write(file: Path, whole: Mapping[str, Any], as_json: bool) -> None:
    """All items, readable by their owner only (`core.private_files`, as the command begins)."""
    try:
        with file.open("w", newline="", encoding="utf-8") as opened:
            rows = csv.writer(opened)
            rows.writerow(CSV_COLUMNS)
            rows.writerows(_csv_row(item) for item in whole["items"])
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", as_json)


def _csv_row(item: Mapping[str, Any]) -> list[str]:
    texts = {"item": item["id"], "findings": _findings(item), "documents": _documents(item)}
    return [_cell({**item, **texts}[name]) for name in CSV_COLUMNS]


def _cell(value: object) -> str:
    """A cell that no spreadsheet calculates."""
    text = "" if value is None else str(value)
    is_number = isinstance(value, int | float)
    return f"'{text}" if text.startswith(FORMULA) and not is_number else text
