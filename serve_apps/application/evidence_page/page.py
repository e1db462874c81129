"""The page of an evidence pack: a function of the pack and of nothing else, so that page and pack say the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from registry.pack_signature import fingerprint
from serve_apps.application.evidence_page import weight_plot
from serve_apps.application.evidence_page.e_value_plot import LOWEST, Curve, EValuePlot, Limit, draw
from serve_apps.application.evidence_page.weight_plot import Granted

FOLDER: Final = Path(__file__).parent
Content = Mapping[str, Any]


def page_of(pack: Mapping[str, Any]) -> str:
    """The pack as HTML. Whatever a person wrote into a plan or a note is shown as it was written.

    Raises KeyError for what is no pack: check one that came from elsewhere first.
    """
    records = pack["records"]
    one = {record["kind"]: record["content"] for record in records}
    events = [record["content"] for record in records if record["kind"] == "event"]
    signature = pack["signature"]
    page = _template().render(
        css=(FOLDER / "page.css").read_text(),
        pack=pack,
        run=one["run"],
        plan=one["plan"],
        plan_text=yaml.safe_dump(one["plan"]["declared"], sort_keys=False, allow_unicode=True, width=38),
        versions=one["versions"],
        approvals=one["approvals"]["approvals"],
        events=events,
        aliases=one["aliases"]["moves"],
        exposure=one["exposure"],
        split=one["sample-ratio"],
        split_plot=_split_plot(one["sample-ratio"]),
        metrics=[_metric(record["content"]) for record in records if record["kind"] == "metric"],
        judgement=one["judgement"],
        outcome=one["outcome"],
        recall=one.get("recall"),
        export=one["export"],
        key=None if signature is None else fingerprint(signature["public_key"]),
        weights=_weights(events, one["export"], one["outcome"]),
    )
    return page.lstrip()


def _metric(content: Content) -> dict[str, Any]:
    """A metric with its drawings."""
    plot, strata = _e_values(content), _strata(content)
    drawn = [one for one in (plot, strata) if one is not None]
    return {
        **content,
        "plot": None if plot is None else draw(plot),
        "strata_plot": None if strata is None else draw(strata),
        "is_cut": any(one.lowest < LOWEST for one in drawn),
    }


def _e_values(content: Content) -> EValuePlot | None:
    way, limits, reached = content["trajectory"], content["limits"], content["crossed_at"]
    curves, lines = [], []
    for name, kind, decides in (("harm", "harm", "stops"), ("non_inferiority", "shown", "passes")):
        if way[name] and limits[name] is not None:
            curves.append(Curve(name.replace("_", "-"), way[name], kind))
            lines.append(Limit(limits[name], _limit_in_words(decides, limits[name]), kind, reached[name]))
    plot = EValuePlot(f"e-values of {content['metric']}", way["unit"], curves, lines)
    return None if plot.is_empty else plot


def _strata(content: Content) -> EValuePlot | None:
    way = content["trajectory"]
    curves = [
        Curve(name if len(name) < 20 else f"{name[:18]}…", points, f"stratum s{number % 9}")
        for number, (name, points) in enumerate(way["strata"].items())
    ]
    if not curves or not way["harm"]:
        return None
    return EValuePlot(f"e-values of {content['metric']} by stratum", way["unit"], curves)


def _limit_in_words(decides: str, log10_e: float) -> str:
    return f"{decides}: E = {10**log10_e:,.0f}".replace(",", "\u202f")


def _split_plot(content: Content) -> str | None:
    decides = -math.log10(content["alpha"])
    limit = Limit(decides, _limit_in_words("pauses", decides), "harm")
    mismatch = Curve("mismatch", content["trajectory"], "harm")
    plot = EValuePlot("e-value of the split", "patients drawn", [mismatch], [limit])
    return None if plot.is_empty else draw(plot)


def _weights(events: list[Content], export: Content, outcome: Content) -> str | None:
    granted = [
        Granted(
            datetime.fromisoformat(event["at"]),
            event["number"],
            event["after"]["weight_bp"] / 100,
            event["after"]["mirror_bp"] / 100,
        )
        for event in events
    ]
    if not granted:
        return None
    until = granted[-1].at if outcome["has_ended"] else datetime.fromisoformat(export["made_at"])
    return weight_plot.draw(granted, until)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    environment.filters |= {
        "moment": _moment,
        "percent": _percent,
        "log10": _log10,
        "interval": _interval,
        "estimate": _estimate,
    }
    return environment.get_template("page.html.jinja")


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _percent(share_bp: int) -> str:
    return f"{share_bp / 100:g} %"


def _log10(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def _interval(estimate: Content | None) -> str:
    if estimate is None or estimate["interval"] is None:
        return ""
    return " to ".join(_value(bound, estimate["unit"]) for bound in estimate["interval"])


def _estimate(estimate: Content | None) -> str:
    return "–" if estimate is None else _value(estimate["value"], estimate["unit"])


def _value(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"× {value:.2f}"
    sign = "+" if unit in ("pp", "") else ""
    digits = f"{value:{sign}.2f}" if unit else f"{value:{sign}.3g}"
    return f"{digits} {unit}".rstrip().replace("-", "−")
