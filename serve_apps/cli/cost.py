"""`cost report`: what readings have cost, by what one asks for, and that it sums to the bill."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from observability.cost.account import Line
from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, fail, out, print_json, table

app = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/costs"
UNUSED: Final = "idle, load, drain, platform"
UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1)}
SHOWN: Final = Decimal("0.000001")  # a study on a shared core costs millionths


@app.callback()
def cost() -> None:
    """What readings cost."""


@app.command()
def report(
    by: Annotated[
        str,
        typer.Option(
            help="line, item, stage, model, version, variant, site, modality, outcome, deployment; by commas."
        ),
    ] = "model,version",
    since: Annotated[str, typer.Option(help="7d, 12h, 2026-05-01, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="As --since; left out: now.")] = None,
    idle: Annotated[
        str, typer.Option(help="Who bears idle time: none, proportional (to use), uniform.")
    ] = "none",
    as_json: AsJson = False,
) -> None:
    """What whole hours have cost (docs/costs.md). Exit code 1 if the rows do not sum to the bill."""
    asked = [("by", one.strip()) for one in by.split(",") if one.strip()] + [("idle", idle)]
    asked.append(("since", _moment(since, as_json)))
    if until is not None:
        asked.append(("until", _moment(until, as_json)))
    found = ask("GET", f"{PATH}?{urlencode(asked)}", as_json)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found["agrees"]:
        raise typer.Exit(1)


def _show(found: Mapping[str, Any]) -> None:
    title = f"costs in {found['currency']}, {found['since'][:16]} to {found['until'][:16]}"
    columns = (*found["by"], "used", UNUSED, "total", "marginal", "delivered", "per delivered")
    table(title, columns, [_row(row, found["by"]) for row in found["rows"]])
    table(
        "what it was for",
        ("line", "cost"),
        [(line, _told(str(nano))) for line, nano in _lines(found["rows"])],
    )
    paid = ", ".join(f"{item} {_told(nano)}" for item, nano in found["bill"].items())
    agrees = "they agree" if found["agrees"] else "[bold red]THEY DO NOT AGREE[/]: do not trust this report"
    out.print(f"bill {found['billed']}{f' ({paid})' if paid else ''}", soft_wrap=True)
    out.print(f"sum of the rows {found['booked']}: {agrees}", soft_wrap=True)
    if found["per_delivered"] is None:
        out.print("no study was delivered, so there is no cost of one")
    else:
        out.print(f"{found['delivered']} studies delivered, {found['per_delivered']} each of the whole bill")
    for one in {(one["role"], one["model"], one["until"]): one for one in found.get("waits", ())}.values():
        out.print(
            f"[yellow]waits until {one['until'][:16]}:[/] {one['role']} of {one['model']}: {one['reason']}",
            soft_wrap=True,
        )
    if found["unpriced"]:
        names = ", ".join(found["unpriced"])
        out.print(f"[yellow]used without a price, so not in the bill:[/] {names}", soft_wrap=True)


def _row(row: Mapping[str, Any], by: Sequence[str]) -> tuple[object, ...]:
    named = tuple(row["key"][name] or "–" for name in by)
    sums = tuple(_told(row[name]) for name in ("direct", "overhead", "total", "marginal"))
    return (*named, *sums, row["delivered"], _told(row["per_delivered"]))


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Decimal]]:
    """The sum of each line over all groups, in the order of `Line`, and of what nobody used."""
    sums = {line: sum((Decimal(row["lines"].get(line, 0)) for row in rows), Decimal()) for line in Line}
    unused = sum((Decimal(row["overhead"]) for row in rows), Decimal())
    return [*((line.value, nano) for line, nano in sums.items() if nano), (UNUSED, unused)]


def _told(amount: str | None) -> str | None:
    """To a millionth; `--json` has all nine places."""
    return None if amount is None else f"{Decimal(amount).quantize(SHOWN):f}"


def _moment(text: str, as_json: bool) -> str:
    """A span before now, or a date or time, of this machine's zone where it names none."""
    if span := re.fullmatch(r"([1-9]\d{0,3})([hd])", text):
        return (datetime.now(UTC) - int(span[1]) * UNITS[span[2]]).isoformat()
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        fail("write a span as 7d or 12h, else a date or a time: 2026-05-01, 2026-05-01T08:00", as_json)
