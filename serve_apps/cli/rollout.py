"""`rollout`: a file's schema and check, the forecast of its decisions, and what people say to a rollout under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from core.errors import SerinusError
from registry.mlflow_output import silence_mlflow
from serve_apps.cli.api_call import ask
from serve_apps.cli.client import ApiError
from serve_apps.cli.open_page import open_page
from serve_apps.cli.output import AsJson, fail, out, print_json, progress, table
from serve_apps.cli.percent import in_percent
from serve_apps.cli.rollout_evidence import evidence, verify_evidence
from serve_apps.cli.rollout_file import SpecFile, plans_in
from serve_apps.cli.rollout_simulate import simulate
from serve_apps.cli.rollout_watch import watch
from serve_apps.cli.rollout_words import plain
from serve_apps.settings import load_settings

if TYPE_CHECKING:
    from canary.rollout.plan import RolloutPlan

app = typer.Typer(no_args_is_help=True)
app.command()(evidence)
app.command("verify-evidence")(verify_evidence)
Model = Annotated[str, typer.Argument(help="The registered model in MLflow.")]
Note = Annotated[str, typer.Option(help="Why; it stands in the events.")]


@app.command()
def demo(
    first: Annotated[
        int | None,
        typer.Option(min=0, help="Number of the first phantom; left out: patients of this moment."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Three versions on the running stack: one earns its promotion, one is stopped in the shadow, one goes back.

    Moves the aliases of `ich-triage`, and leaves version 2 as champion. The last act's evidence opens in the browser
    of a desktop. Exit code 1 if an act ended otherwise.
    """
    silence_mlflow()
    from serve_apps.cli.rollout_demo.command import play_demo

    try:
        with progress(as_json) as say:
            played, page = play_demo(load_settings(), first, say)
    except (ApiError, SerinusError) as error:
        fail(str(error), as_json, error.code)
    faults = [fault for each in played for fault in each.faults]
    if as_json:
        print_json({"acts": [each.told for each in played], "faults": faults, "evidence": str(page)})
    else:
        for fault in faults:
            out.print(f"[bold red]![/] {plain(fault)}", soft_wrap=True)
        out.print(f"evidence of the last act: {page.resolve().as_uri()}", soft_wrap=True)
        if out.is_terminal:
            open_page(page)
    if faults:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a rollout's file, for editors (docs/rollout-spec.schema.json)."""
    from serve_apps.rollout_spec.spec_file import rollout_schema

    print_json(rollout_schema())


@app.command()
def check(
    file: SpecFile,
    as_json: AsJson = False,
) -> None:
    """Read a file as strictly as a start would. Exit code 1 with every mistake: its line, its field, the reason."""
    plans = plans_in(file, as_json)
    if as_json:
        print_json([{"name": plan.name, "model": plan.model, "steps": len(plan.steps)} for plan in plans])
        return
    for plan in plans:
        out.print(f"[green]✓[/] {_told(plan)}", soft_wrap=True)


@app.command()
def plan(
    file: SpecFile,
    studies_per_day: Annotated[float, typer.Option(min=0.001, help="Studies of the model at this site.")],
    prevalence: Annotated[float, typer.Option(min=0.0001, max=0.9999, help="The share with the finding.")],
    as_json: AsJson = False,
) -> None:
    """How many studies and days each decision of a file would take here, with warnings of what cannot be decided."""
    from serve_apps.cli.rollout_forecast import forecasts_of

    rows = [
        row for each in plans_in(file, as_json) for row in forecasts_of(each, studies_per_day, prevalence)
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("rollout", "metric", "decision", "needs", "days")
    table("forecast", columns, [_forecast_row(row) for row in rows])
    for row in rows:
        if row["warning"]:
            out.print(f"[yellow]![/] {row['metric']}: {row['warning']}", soft_wrap=True)


app.command()(simulate)


@app.command()
def start(
    model: Model,
    file: SpecFile,
    as_json: AsJson = False,
) -> None:
    """Start the rollout of the model's challenger. One under way takes what of its plan may still change."""
    plans_in(file, as_json)
    _show(ask("PUT", _path(model), as_json, {"spec": file.read_text()}), as_json)


@app.command()
def status(
    model: Annotated[str | None, typer.Argument(help="Left out: all rollouts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Where rollouts stand; of one model also what it waits for, who approved, the evidence and its last events."""
    if model is not None:
        _show(ask("GET", _path(model), as_json), as_json)
        return
    document = ask("GET", "/v1/rollouts", as_json)
    if as_json:
        print_json(document)
        return
    columns = ("model", "run", "candidate", "phase", "step", "weight", "reason")
    table("rollouts", columns, [_row(one) for one in document["rollouts"]])


app.command()(watch)


@app.command()
def pause(model: Model, note: Note = "", as_json: AsJson = False) -> None:
    """Keep the weight and wait for `resume`."""
    _say("pause", model, as_json, note=note)


@app.command()
def resume(model: Model, note: Note = "", as_json: AsJson = False) -> None:
    """Go on; the cause of the pause is acknowledged for this step."""
    _say("resume", model, as_json, note=note)


@app.command()
def approve(
    model: Model,
    role: Annotated[str, typer.Option(help="In which you approve.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Approve the step under way in one role."""
    _say("approve", model, as_json, role=role, note=note)


@app.command()
def promote(
    model: Model,
    full: Annotated[bool, typer.Option("--full", help="Leave out the steps that are left.")] = False,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """End a pause for a time or for studies. Evidence and approvals are still needed."""
    _say("promote", model, as_json, full=full, note=note)


@app.command()
def abort(model: Model, note: Note = "", as_json: AsJson = False) -> None:
    """Take the weight away and end the rollout as failed."""
    _say("abort", model, as_json, note=note)


@app.command()
def retry(model: Model, note: Note = "", as_json: AsJson = False) -> None:
    """Begin a failed rollout again, at its first step."""
    _say("retry", model, as_json, note=note)


@app.command()
def undo(
    model: Model,
    to: Annotated[str | None, typer.Option(help="The version; left out: the former champion.")] = None,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Go back to the former champion after a promotion."""
    _say("undo", model, as_json, to=to, note=note)


def _say(verb: str, model: str, as_json: bool, **words: Any) -> None:
    body = {name: value for name, value in words.items() if value}
    _show(ask("POST", f"{_path(model)}/{verb}", as_json, body), as_json)


def _path(model: str) -> str:
    return f"/v1/rollouts/{quote(model, safe='')}"


def _show(rollout: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(rollout)
        return
    named = f"{rollout['model']}: version {rollout['candidate']} against {rollout['stable']}"
    weight = in_percent(rollout["weight_bp"])
    _print(f"{named}, run {rollout['run']}: {rollout['phase']} at {weight}")
    _print(rollout["reason"])
    if rollout["next_gate"]:
        _print(f"next: {rollout['next_gate']}")
    for metric in rollout["evidence"]:
        _print(f"  {metric['metric']}: {metric['phase']}, {metric['reason']}")
    for given in rollout["approvals"]:
        _print(f"  {given['actor']} approved step {given['step']} as {given['role']}")
    for event in rollout["events"][:10]:
        _print(f"  {event['at'][:16]} {event['actor']}: {event['reason']}")


def _print(text: str) -> None:
    """What people wrote is no markup, and moves no cursor."""
    out.print(plain(text), soft_wrap=True, markup=False)


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    step = f"{one['step']} of {one['steps']}"
    named = (one["model"], one["run"], one["candidate"], one["phase"])
    return (*named, step, in_percent(one["weight_bp"]), one["reason"])


def _forecast_row(row: Mapping[str, Any]) -> tuple[object, ...]:
    days = "never" if row["days"] is None else f"{row['days']:.1f}"
    needs = "–" if row["observations"] is None else f"{row['observations']} {row['unit']}"
    return (row["rollout"], row["metric"], row["decision"], needs, days)


def _told(plan: RolloutPlan) -> str:
    ends = "ends in a promotion" if plan.promotes else "exposes nobody"
    return f"{plan.name}: {len(plan.steps)} steps for {plan.model}, {ends}"
