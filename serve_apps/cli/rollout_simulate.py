"""`rollout simulate`: a declared plan, walked many times by the product's own decisions over simulated studies.

The simulation is imported by the command, not by the module: no other command waits for numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from canary.simulation.assumptions import Assumptions, Scenario, assumed
from core.clock import now
from serve_apps.cli.output import AsJson, fail, out, print_json, progress, table
from serve_apps.cli.rollout_file import SpecFile, plans_in
from serve_apps.cli.rollout_words import plain

if TYPE_CHECKING:
    from canary.rollout.plan import RolloutPlan

NEVER: Final = "never"
BEGIN_HOUR: Final = 8
FIRST_YEAR, LAST_YEAR = 1970, 2200


def simulate(
    file: SpecFile,
    studies_per_day: Annotated[float, typer.Option(min=0.001, max=1e6, help="Studies of the model here.")],
    prevalence: Annotated[float, typer.Option(min=0.0001, max=0.9999, help="The share with the finding.")],
    scenario: Annotated[Scenario, typer.Option(help="What the candidate is like.")] = Scenario.SAME,
    accuracy: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The champion's sensitivity and specificity.")
    ] = 0.90,
    sensitivity: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="The candidate's; else the scenario's.")
    ] = None,
    specificity: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="The candidate's; else the scenario's.")
    ] = None,
    discordance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of studies on which one version alone is right.")
    ] = 0.10,
    failure_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of studies at which both versions fail.")
    ] = 0.01,
    own_failures: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share at which the candidate alone fails; else the scenario's."),
    ] = None,
    champion_failures: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share at which the champion alone fails.")
    ] = 0.0,
    critical_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of disagreements that are adverse events.")
    ] = 0.02,
    truth_after: Annotated[str, typer.Option(help="When a study's truth is known, as 2d, or never.")] = "2d",
    approve_after: Annotated[str, typer.Option(help="When people approve, as 1d, or never.")] = "1d",
    resume_after: Annotated[str, typer.Option(help="When a person resumes a pause, or never.")] = NEVER,
    days: Annotated[float, typer.Option(min=1.0, max=3650.0, help="How long a run is followed.")] = 120.0,
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="How many runs.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same runs.")] = 1,
    look_every: Annotated[
        str, typer.Option(help="How often a run is looked at; studies come in between.")
    ] = "6h",
    begin: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day; today, if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk a file's plans over simulated studies: how often they promote, fail or wait, when, and at which cost."""
    plans = plans_in(file, as_json)
    try:
        base = Assumptions(
            studies_per_day=studies_per_day,
            prevalence=prevalence,
            accuracy=accuracy,
            discordance=discordance,
            failure_rate=failure_rate,
            champion_failures=champion_failures,
            critical_share=critical_share,
            truth_after_s=_after(truth_after),
            approve_after_s=_after(approve_after),
            resume_after_s=_after(resume_after),
        )
        meant = assumed(scenario, base)
        site = replace(
            meant,
            sensitivity=meant.sensitivity if sensitivity is None else sensitivity,
            specificity=meant.specificity if specificity is None else specificity,
            own_failures=meant.own_failures if own_failures is None else own_failures,
        )
        looks = Looks(_first_look(begin), days, timedelta(seconds=_seconds(look_every)), runs, seed)
    except ValueError as error:
        fail(str(error), as_json, "invalid-field")
    documents = [_simulated(plan, site, looks, scenario, as_json) for plan in plans]
    if as_json:
        print_json(documents)
        return
    for document in documents:
        show(document)


@dataclass(frozen=True, slots=True)
class Looks:
    """How many runs there are, and how each is followed."""

    begin: datetime
    days: float
    every: timedelta
    runs: int
    seed: int


def _simulated(
    plan: RolloutPlan, site: Assumptions, looks: Looks, scenario: Scenario, as_json: bool
) -> dict[str, Any]:
    """What the runs of a plan came to, with all that they went by."""
    from canary.simulation.counted import COUNTED
    from canary.simulation.simulate import simulate as simulated
    from canary.simulation.walk import Horizon

    horizon = Horizon(begin=looks.begin, days=looks.days, every=looks.every)
    with progress(as_json) as say:
        say(f"{plan.name}: {looks.runs} runs of {looks.days:g} days")
        found = simulated(plan, site, horizon, runs=looks.runs, seed=looks.seed)
    return {
        "rollout": plan.name,
        "model": plan.model,
        "scenario": str(scenario),
        "seed": looks.seed,
        "begin": looks.begin.isoformat(),
        "days": looks.days,
        "look_every_s": looks.every.total_seconds(),
        "assumptions": asdict(site),
        "not_simulated": [one.name for one in plan.metrics if one.kind not in COUNTED],
        **asdict(found),
    }


def show(document: Mapping[str, Any]) -> None:
    """The document of one plan, for a person."""
    shares = ", ".join(f"{ending} {_percent(share)}" for ending, share in document["shares"].items() if share)
    out.print(Text(f"{plain(document['rollout'])}, {document['scenario']}: {shares}", style="bold"))
    columns = ("step", "what it waits for", "runs", "days: median", "90 %")
    table(f"steps done, in {document['runs']} runs of {document['days']:g} days", columns, _steps(document))
    costs = (
        ("days to the promotion", document["days_to_promotion"]),
        ("exposed studies", document["exposed"]),
        ("adverse events", document["adverse"]),
    )
    table("what it takes", ("", "median", "90 %"), [(name, *_spread(found)) for name, found in costs])
    reasons = [(_percent(one["share"]), one["ending"], plain(one["example"])) for one in document["reasons"]]
    table("why runs ended so, with the words of one of them", ("runs", "ending", "reason"), reasons)
    for line in _remarks(document):
        out.print(Text(line, style="dim"), soft_wrap=True)


def _steps(document: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [
        (one["number"], plain(one["told"]), _percent(one["share"]), *_spread(one["days"]))
        for one in document["steps"]
    ]


def _remarks(document: Mapping[str, Any]) -> Sequence[str]:
    site = document["assumptions"]
    differing = (
        f"champion {site['accuracy']:g}, candidate {site['sensitivity']:g} and {site['specificity']:g}"
    )
    remarks = [
        f"{site['studies_per_day']:g} studies a day, {_percent(site['prevalence'])} with the finding;"
        f" right: {differing} (sensitivity and specificity); one alone is right on {_percent(site['discordance'])}",
        f"both fail at {_percent(site['failure_rate'])}, the candidate alone at {_percent(site['own_failures'])},"
        f" the champion alone at {_percent(site['champion_failures'])};"
        f" {_percent(site['critical_share'])} of what they differ on is an adverse event",
        f"looked at every {document['look_every_s'] / 3600:g} h and when a window opens, from {document['begin']} on,"
        f" seed {document['seed']}; each study is of another patient, all of one stratum",
    ]
    if document["not_simulated"]:
        remarks.append(f"without studies here, and so without data: {', '.join(document['not_simulated'])}")
    return remarks


def _spread(found: Mapping[str, float | None]) -> tuple[str, str]:
    return _number(found["median"]), _number(found["p90"])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _after(text: str) -> int | None:
    return None if text == NEVER else _seconds(text)


def _seconds(text: str) -> int:
    from serve_apps.rollout_spec.units import duration_of

    return duration_of(text)


def _first_look(begin: datetime | None) -> datetime:
    day = now() if begin is None else begin
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"a run begins within {FIRST_YEAR} and {LAST_YEAR}")
    return day.replace(hour=BEGIN_HOUR, minute=0, second=0, microsecond=0, tzinfo=UTC)
