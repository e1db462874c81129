"""The dashboard as Grafana takes it, by Grafana's own SDK (a development dependency: sites get the file)."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from observability.dashboard.panels import SECTIONS, Panel

COLUMNS: Final = 24  # of Grafana's grid
ACROSS: Final = 3


def dashboard_json() -> str:
    """The file for Grafana's provisioning, the same each time."""
    board = Dashboard("Serinus").uid("serinus").tags(["serinus"]).refresh("30s").time("now-6h", "now")
    for section in SECTIONS:
        board = board.with_row(Row(section.title))
        for panel in section.panels:
            board = board.with_panel(_timeseries(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _timeseries(panel: Panel) -> Timeseries:
    made = Timeseries().title(panel.title).description(panel.tells).unit(panel.unit.value)
    made = made.span(COLUMNS // ACROSS).height(8).min(0)
    for ref, query in zip("ABCD", panel.queries, strict=False):
        target = Dataquery().expr(query.expr).legend_format(query.legend).exemplar(True).ref_id(ref)
        made = made.with_target(target)
    return made
