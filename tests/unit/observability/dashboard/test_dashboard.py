"""The dashboard and the alerts speak of metrics that there are, and the files beside them are of this list."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from observability.dashboard.__main__ import ROOT, files
from observability.dashboard.alerts import ALERTS
from observability.dashboard.draw import told_of
from observability.dashboard.panels import PANELS, Panel, Unit
from observability.dashboard.picture import Line, in_unit, page_of
from observability.metrics.instruments import OF_NOW, OF_RECORDS, Instrument, Kind

NAMED = re.compile(r"serinus_[a-z_]+")
OFF_THE_BOARD: frozenset[str] = frozenset()
"""Metrics that no panel shows, on purpose."""


def names_of(instrument: Instrument) -> set[str]:
    """As Prometheus has them."""
    match instrument.kind:
        case Kind.COUNTER:
            return {f"{instrument.name}_total"}
        case Kind.HISTOGRAM:
            return {f"{instrument.name}_{part}" for part in ("bucket", "count", "sum")}
        case Kind.GAUGE:
            return {instrument.name}


ALL = {name for one in (*OF_RECORDS, *OF_NOW) for name in names_of(one)}


def test_every_metric_is_on_a_panel_or_left_out_on_purpose() -> None:
    shown = {name for panel in PANELS for query in panel.queries for name in NAMED.findall(query.expr)}
    missing = [one.name for one in (*OF_RECORDS, *OF_NOW) if not names_of(one) & shown]
    assert set(missing) == OFF_THE_BOARD


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_asks_for_metrics_and_labels_that_there_are(panel: Panel) -> None:
    labels = {one.name: {*one.labels, "le"} for one in (*OF_RECORDS, *OF_NOW)}
    for query in panel.queries:
        named = set(NAMED.findall(query.expr))
        assert named <= ALL
        known = {
            label for name, own in labels.items() for label in own if any(n.startswith(name) for n in named)
        }
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= known
        assert {
            label for by in re.findall(r"by \(([^)]*)\)", query.expr) for label in by.split(", ")
        } <= known


def test_no_panel_is_by_study() -> None:
    assert not [
        panel for panel in PANELS for query in panel.queries if re.search("study_key|job_id", query.expr)
    ]


def test_titles_and_alerts_are_told_apart() -> None:
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)


def test_an_alert_asks_for_metrics_that_there_are_and_says_what_to_do() -> None:
    for alert in ALERTS:
        assert set(NAMED.findall(alert.expr)) <= ALL
        assert alert.summary.endswith(".")
        assert alert.todo.endswith(".")


@pytest.mark.parametrize("path", files())
def test_a_written_file_is_of_this_list(path: str) -> None:
    assert (ROOT / path).read_text() == files()[path], "run python -m observability.dashboard"


def test_grafana_gets_every_panel_with_its_queries() -> None:
    board = json.loads((ROOT / "deploy/grafana/serinus.json").read_text())
    found = {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in board["panels"]
        if panel["type"] == "timeseries"
    }
    assert found == {panel.title: [query.expr for query in panel.queries] for panel in PANELS}


class _Figures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines, self.texts = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.lines += tag == "polyline"

    def handle_data(self, data: str) -> None:
        self.texts += data


def test_the_page_draws_what_there_is_and_says_what_there_is_not() -> None:
    first, second = PANELS[:2]
    lines = {first.title: [Line("<ok>", ((0.0, 1.0), (60.0, 2.0))), Line("failed", ((0.0, 0.0),))]}
    figures = _Figures()
    figures.feed(page_of(lines, "Serinus"))
    assert figures.lines == 2
    assert "<ok>" in figures.texts
    may_be_empty = sum(panel.may_be_empty for panel in PANELS)
    assert figures.texts.count("nothing to show") == may_be_empty
    assert figures.texts.count("no data") == len(PANELS) - 1 - may_be_empty
    assert second.title in figures.texts


def test_a_panel_that_is_empty_where_all_is_well_is_no_fault() -> None:
    line = [Line("one", ((0.0, 1.0),))]
    healthy = {panel.title: line for panel in PANELS if not panel.may_be_empty}
    told, is_whole = told_of(healthy)
    assert is_whole
    assert "may be empty: Errors by code" in told
    assert "no data" not in told
    told, is_whole = told_of({title: line for title in healthy if title != "Time by stage"})
    assert not is_whole
    assert "no data: Time by stage" in told
    assert told_of({panel.title: line for panel in PANELS}) == (
        f"{len(PANELS)} of {len(PANELS)} panels have data",
        True,
    )


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.25, Unit.SHARE, "25 %"),
        (0.012, Unit.SECONDS, "12 ms"),
        (90.0, Unit.SECONDS, "90 s"),
        (0.0, Unit.SECONDS, "0 s"),
        (3.0, Unit.PER_SECOND, "3/s"),
        (2e6, Unit.BYTES_PER_SECOND, "2 MB/s"),
        (7.0, Unit.NUMBER, "7"),
    ],
)
def test_an_axis_has_its_unit(value: float, unit: Unit, told: str) -> None:
    assert in_unit(value, unit) == told
