"""`ab start|show|end`: A/B tests of versions that are equal in rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from serve_apps.cli.api_call import ask
from serve_apps.cli.output import AsJson, fail, out, print_json, table
from serve_apps.cli.percent import in_percent, to_basis_points
from serve_apps.cli.slot import SLOT_HELP, slot_from, slot_in_words

ab = typer.Typer(no_args_is_help=True)


@ab.command()
def start(
    model: str,
    arms: Annotated[list[str], typer.Argument(help="arm-…=PERCENT, two or more; they sum to 100.")],
    coverage: Annotated[float, typer.Option(help="Percent of the patients that take part.")] = 100.0,
    slot: Annotated[str | None, typer.Option(help=f"Only patients of a slot: {SLOT_HELP}")] = None,
    as_json: AsJson = False,
) -> None:
    """Split the patients between the versions behind `arm-…` aliases."""
    try:
        weights = {
            name: to_basis_points(float(percent)) for name, percent in (arm.split("=") for arm in arms)
        }
    except ValueError:
        fail("write each arm as arm-NAME=PERCENT", as_json, "bad-argument")
    body: dict[str, Any] = {"weights_bp": weights, "coverage_bp": to_basis_points(coverage)}
    if slot is not None:
        body["slot"] = slot_from(slot)
    _print(ask("PUT", f"/v1/ab-tests/{model}", as_json, body), as_json)


@ab.command()
def show(model: str, as_json: AsJson = False) -> None:
    """Metrics by arm, and whether the split is the one that was asked for."""
    _print(ask("GET", f"/v1/ab-tests/{model}", as_json), as_json)


@ab.command()
def end(model: str, as_json: AsJson = False) -> None:
    """End the test: all patients go back to the champion."""
    ask("DELETE", f"/v1/ab-tests/{model}", as_json)
    if as_json:
        print_json({"ended": model})
    else:
        out.print(f"the A/B test of {model} has ended")


def _print(document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    state = "serving" if document["serving"] else "waits until all its arms are ready"
    table(
        f"A/B test of {document['model']}: {state}",
        ("arm", "weight", "version", "patients", "studies", "failed", "flagged (95 %)", "p50", "p95"),
        [_row(arm, version) for arm in document["arms"] for version in arm["versions"] or [None]],
    )
    if document.get("slot"):
        out.print(f"only patients of the slot {slot_in_words(document['slot'])} take part")
    ratio = document["sample_ratio"]
    out.print(f"split: {ratio['verdict']}, {ratio['reason']}")


def _row(arm: Mapping[str, Any], version: Mapping[str, Any] | None) -> tuple[object, ...]:
    weight = in_percent(arm["weight_bp"])
    if version is None:
        return (arm["name"], weight, None, 0, 0, None, None, None, None)
    flagged = version["flagged"]
    interval = None
    if flagged["interval_95"]:
        low, high = flagged["interval_95"]
        interval = f"{flagged['share']:.0%} ({low:.0%} to {high:.0%})"
    return (
        arm["name"],
        weight,
        version["version"],
        version["patients"],
        version["studies"],
        version["failed"]["hits"],
        interval,
        _milliseconds(version["latency_p50_ms"]),
        _milliseconds(version["latency_p95_ms"]),
    )


def _milliseconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.0f} ms"
