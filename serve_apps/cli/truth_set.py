"""`truth-set create|list|schedule|run|results|delete`: fixed lists of studies, and how right versions are on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, fail, out, print_json, table
from serve_apps.cli.truth_file import BadFile
from serve_apps.cli.truth_set_file import read_set

app = typer.Typer(no_args_is_help=True)
PATH = "/v1/truth-sets"
SetName = Annotated[str, typer.Argument(help="As `truth-set list` names it.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the set; other content is its next version.")],
    model: Annotated[str, typer.Option(help="The registered model in MLflow.")],
    file: Annotated[Path, typer.Option(help="CSV with a header; see docs/replay.md.")],
    as_json: AsJson = False,
) -> None:
    """Register a set. What was registered never changes; the same content again is the version of then."""
    try:
        lines = read_set(file)
    except BadFile as error:
        fail(str(error), as_json, "bad-file")
    _show(ask("POST", PATH, as_json, {"name": name, "model": model, "lines": lines}), as_json)


@app.command(name="list")
def list_sets(as_json: AsJson = False) -> None:
    """The newest version of every set."""
    document = ask("GET", PATH, as_json)
    if as_json:
        print_json(document)
        return
    columns = ("set", "version", "model", "studies", "findings", "runs", "registered", "by")
    table("ground-truth sets", columns, [_row(one) for one in document["truth_sets"]])


@app.command()
def schedule(
    name: SetName,
    every: Annotated[str, typer.Option(help="7d, 12h; `never` ends it.")],
    as_json: AsJson = False,
) -> None:
    """Have a set run by itself: against each live version that appears at once, and then so often."""
    body = {"every": None if every == "never" else every}
    _show(ask("PUT", f"{_path(name)}/schedule", as_json, body), as_json)


@app.command()
def run(name: SetName, as_json: AsJson = False) -> None:
    """Have every live version read the set, behind all other work; `results` tells what comes of it."""
    document = ask("POST", f"{_path(name)}/runs", as_json, {})
    if as_json:
        print_json(document)
        return
    for one in document["runs"]:
        out.print(f"version {one['version']} reads {one['studies']} studies, {one['waiting']} wait")


@app.command()
def results(name: SetName, as_json: AsJson = False) -> None:
    """How right which version was, and when, with exact intervals of 95 %."""
    document = ask("GET", f"{_path(name)}/results", as_json)
    if as_json:
        print_json(document)
        return
    columns = (
        "began",
        "set",
        "version",
        "finding",
        "sensitivity",
        "specificity",
        "failed",
        "unread",
        "state",
    )
    rows = [_result(run, finding) for run in document["runs"] for finding in run["findings"]]
    table(f"results of {document['name']}", columns, rows)


@app.command()
def delete(name: SetName, as_json: AsJson = False) -> None:
    """Forget a set and the studies that it names, in all its versions. The results of its runs stay."""
    document = ask("DELETE", _path(name), as_json)
    if as_json:
        print_json(document)
        return
    out.print(f"{document['name']} is deleted; it named {document['studies']} studies")


def _show(one: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    out.print(f"{one['name']}, version {one['version']}: {one['studies']} studies for {one['model']}")
    for finding, counts in one["counts"].items():
        out.print(f"  {finding}: {counts['present']} present, {counts['absent']} absent")
    out.print(f"  runs {_every(one['every_s'])}; content {one['digest'][:12]}")


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    counts = "; ".join(f"{key} {c['present']}+/{c['absent']}-" for key, c in one["counts"].items())
    named = (one["name"], one["version"], one["model"], one["studies"], counts)
    return (*named, _every(one["every_s"]), one["at"][:16], one["actor"])


def _every(seconds: int | None) -> str:
    return "when asked" if seconds is None else f"every {seconds / 3600:g} h"


def _result(run: Mapping[str, Any], finding: Mapping[str, Any]) -> tuple[object, ...]:
    shares = (_share(finding["sensitivity"]), _share(finding["specificity"]))
    state = "ended" if run["ended_at"] else f"{run['waiting']} wait"
    named = (run["at"][:16], run["set_version"], run["version"], finding["finding"])
    return (*named, *shares, finding["failed"], finding["unread"], state)


def _share(one: Mapping[str, Any]) -> str | None:
    if one["share"] is None:
        return None
    return f"{one['right']}/{one['number']} = {one['share']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"
