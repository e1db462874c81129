"""`drift report | accept | acknowledge`: whether what a version reads is still normal, and who says what is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from core.atomic_write import atomic_write
from serve_apps.cli.api_call import ask, ask_page
from serve_apps.cli.output import AsJson, out, print_json, table

app = typer.Typer(no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="The registered model in MLflow.")]
Version = Annotated[str | None, typer.Option(help="Left out: the champion.")]
BLIND_WEEKS: Final = 4
COLOUR: Final = {"alarm": "bold red", "watch": "yellow", "quiet": "green", "not-armed": "dim"}


@app.callback()
def drift() -> None:
    """Whether what is read is still as when a person called it normal."""


@app.command()
def report(
    model: Model,
    version: Version = None,
    page: Annotated[Path | None, typer.Option(help="Also write the report as a page, with plots.")] = None,
    as_json: AsJson = False,
) -> None:
    """The verdict on all days that are over, and each signal then and now. Exit code 1 on an alarm."""
    path = _path(model, version)
    found = ask("GET", path, as_json)
    if page is not None:
        atomic_write(page, ask_page(path, as_json))
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found["state"] == "alarm":
        raise typer.Exit(1)


@app.command()
def accept(
    model: Model,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="So many days that are over, up to yesterday.")
    ] = 28,
    version: Version = None,
    as_json: AsJson = False,
) -> None:
    """Say that the last days were normal. Drift is judged from today on, against these; it stands in the audit."""
    body = {"days": days} | ({"version": version} if version else {})
    found = ask("PUT", f"/v1/drift/{quote(model, safe='')}/reference", as_json, body)
    if as_json:
        print_json(found)
        return
    told = f"reference {found['number']} of {model}: {found['studies']} studies of {found['days']} days"
    out.print(f"{told}, accepted by {found['accepted_by']}", soft_wrap=True)


@app.command()
def acknowledge(model: Model, version: Version = None, as_json: AsJson = False) -> None:
    """Say that you have looked at an alarm and keep the reference: watching begins anew today. Audited."""
    body = {"version": version} if version else {}
    found = ask("POST", f"/v1/drift/{quote(model, safe='')}/acknowledge", as_json, body)
    if as_json:
        print_json(found)
        return
    said = f": {found['sentence']}" if found["sentence"] else ""
    out.print(f"looked at version {found['version']} of {model}{said}", soft_wrap=True, highlight=False)


def _path(model: str, version: str | None) -> str:
    asked = urlencode({"version": version}) if version else ""
    return f"/v1/drift/{quote(model, safe='')}{'?' if asked else ''}{asked}"


def _show(found: Mapping[str, Any]) -> None:
    state = found["state"]
    out.print(f"[{COLOUR[state]}]{state}[/]  {found['sentence']}", soft_wrap=True, highlight=False)
    told = f"reference {found['reference']}, accepted by {found['accepted_by']}"
    evidence = (
        "" if found["log10_m"] is None else f"; log10 M {found['log10_m']:.1f} of {found['log10_limit']:.1f}"
    )
    out.print(f"{told}{evidence}", soft_wrap=True)
    rows = [
        (
            one["signal"],
            sum(one["reference"]),
            sum(one["now"]),
            f"{one['psi']:.3f}",
            one["not_armed"] or "watched",
        )
        for one in found["signals"]
    ]
    table("signals", ("signal", "reference", "since", "PSI", ""), rows)
    _show_blind_spots(found)
    _show_truth(found)


def _show_blind_spots(found: Mapping[str, Any]) -> None:
    rows = [
        (one["signal"], one["studies"], _percent(one["into_rare"]), _percent(one["into_common"]))
        for one in found["blind_spots"]
        if one["weeks"] == BLIND_WEEKS
    ]
    if rows:
        title = f"smallest shift visible in {BLIND_WEEKS} weeks"
        table(title, ("signal", "studies", "into the rarest bin", "into the commonest"), rows)
    outliers = found["outliers"]
    if outliers is not None:
        share = _percent(outliers["share"])
        out.print(f"{outliers['flagged']} of {outliers['studies']} studies unlike the reference ({share})")


def _show_truth(found: Mapping[str, Any]) -> None:
    rows = [
        (
            one["finding"],
            one["answered"],
            one["known"],
            f"{_percent(one['discordant_then'])} → {_percent(one['discordant_now'])}",
            f"{one['calibration_log10_e']:.1f}",
            _with_interval(one["sensitivity"]),
            _with_interval(one["ppv"]),
        )
        for one in found["against_truth"]
    ]
    head = ("finding", "answers", "with truth", "differ", "log10 e calibration", "sensitivity", "PPV")
    if rows:
        table("against the truth", head, rows)
    else:
        out.print("No answer of this version is kept to compare with the truth.")
    for one in found["against_truth"]:
        for sentence in one["said"]:
            out.print(f"{one['finding']}: {sentence}", soft_wrap=True, highlight=False)
    runs = [
        (
            one["at"][:10],
            f"{one['name']} {one['set_version']}",
            one["finding"],
            _with_interval(one["sensitivity"]),
            _with_interval(one["specificity"]),
            _with_interval(one["auc"]),
            one["changed"],
        )
        for one in found["scoreboard"]
    ]
    if runs:
        head = ("day", "set", "finding", "sensitivity", "specificity", "AUC", "beside the last")
        table("ground-truth sets", head, runs)
    else:
        out.print("This version has read no ground-truth set to its end.")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _with_interval(share: Mapping[str, float] | None) -> str:
    if share is None:
        return "–"
    return f"{100 * share['value']:.1f} % ({100 * share['low']:.1f} to {100 * share['high']:.1f})"
