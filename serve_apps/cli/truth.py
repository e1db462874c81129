"""`truth import|show|withdraw|queue|answer`: say what was really there; read again what versions differ on."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from canary.truth import TruthLabel
from serve_apps.cli.api_call import ask
from serve_apps.cli.client import ApiAway, ApiClient, ApiError
from serve_apps.cli.output import AsJson, fail, out, print_json, table
from serve_apps.cli.truth_file import BadFile, TruthLine, read_truths
from serve_apps.settings import load_settings

truth = typer.Typer(no_args_is_help=True)
ORCHESTRATOR = "orchestrator"  # whose jobs `serinus submit` makes
Tenant = Annotated[str, typer.Option(help="Whose studies; a truth counts for its own tenant's.")]


@truth.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(help="JSON lines, or .csv with a header; see docs/truth.md.")],
    tenant: Tenant = ORCHESTRATOR,
    as_json: AsJson = False,
) -> None:
    """Tell all truths of a file. What was told before changes nothing, so a file may be imported again."""
    try:
        lines = read_truths(file)
    except BadFile as error:
        fail(str(error), as_json, "bad-file")
    try:
        client = ApiClient.of(load_settings(), actor=getpass.getuser())
        answers = [_tell(client, line, tenant) for line in lines]
    except ApiAway as error:
        fail(str(error), as_json, error.code)
    refused = [answer for answer in answers if "refused" in answer]
    if as_json:
        print_json({"told": len(lines) - len(refused), "refused": refused})
    else:
        for answer in refused:
            out.print(f"[bold red]line {answer['line']}[/] {answer['refused']}", soft_wrap=True)
        out.print(f"told {len(lines) - len(refused)} truths, refused {len(refused)}")
    if refused:
        raise typer.Exit(1)


@truth.command()
def show(study_uid: str, as_json: AsJson = False) -> None:
    """All that was told of a study, and which of it counts."""
    document = ask("GET", _truths_of(study_uid), as_json)
    if as_json:
        print_json(document)
        return
    columns = ("truth", "finding", "says", "source", "reader", "read", "received", "counts")
    table("truths", columns, [_row(each) for each in document["truths"]])


@truth.command()
def withdraw(study_uid: str, truth_id: str, as_json: AsJson = False) -> None:
    """A truth counts no more; it stays in the history. An item that it answered is open again."""
    document = ask("DELETE", f"{_truths_of(study_uid)}/{quote(truth_id, safe='')}", as_json)
    if as_json:
        print_json(document)
        return
    out.print(f"truth {document['id']} is withdrawn")


@truth.command()
def queue(
    model: str,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: AsJson = False,
) -> None:
    """What is to be read again, blindly, and how much of it comes each day."""
    document = ask("GET", f"/v1/adjudications/{quote(model, safe='')}?limit={limit}", as_json)
    if as_json:
        print_json(document)
        return
    items = [(i["id"], i["study_uid"], i["meaning"], i["open_since"][:16]) for i in document["items"]]
    table("to be read again", ("item", "study", "is there", "since"), items)
    work = document["workload"]
    out.print(
        f"{work['open']} open; {work['items_per_day']:g} come each day of {work['pairs_per_day']:g} that are compared"
    )


@truth.command()
def answer(
    item: Annotated[str, typer.Argument(help="As `truth queue` names it.")],
    label: TruthLabel,
    reader: Annotated[str, typer.Option(help="A pseudonym or a role, no name.")],
    note: Annotated[str | None, typer.Option(help="Reaches no log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Answer an item; only then it is told which version had said what."""
    body = {"label": label.value, "reader": reader} | ({"note": note} if note else {})
    document = ask("POST", f"/v1/adjudications/items/{quote(item, safe='')}", as_json, body)
    if as_json:
        print_json(document)
        return
    out.print(f"kept as truth {document['truth']['id']}")
    for arm, said in sorted((document["arms"] or {}).items()):
        out.print(f"{arm} was version {said['version']}: {said['label']}")


def _tell(client: ApiClient, line: TruthLine, tenant: str) -> dict[str, Any]:
    """What came of one line. Raises ApiAway; a line that is refused does not keep the others from being told."""
    try:
        client.ask("POST", f"{_truths_of(line.study_uid)}?tenant={quote(tenant, safe='')}", line.body)
    except ApiAway:
        raise
    except ApiError as error:
        return {"line": line.number, "refused": str(error), "code": error.code}
    return {"line": line.number}


def _truths_of(study_uid: str) -> str:
    return f"/v1/studies/{quote(study_uid, safe='')}/truth"


def truth_says(told: Mapping[str, Any]) -> str:
    return told["label"] or f"{told['value']:g} {told['unit']}"


def truth_line(told: Mapping[str, Any]) -> str:
    """A truth in one line, for `explain`: without its reader."""
    state = "counts" if told["in_force"] else "withdrawn" if told["withdrawn_at"] else "is history"
    return f"truth: {told['finding']} {truth_says(told)}, by {told['source']} ({state})"


def _row(told: Mapping[str, Any]) -> tuple[object, ...]:
    counts = "yes" if told["in_force"] else "withdrawn" if told["withdrawn_at"] else "no"
    said = (told["id"], told["finding"], truth_says(told), told["source"], told["reader"])
    return (*said, told["read_at"][:16], told["received_at"][:16], counts)
