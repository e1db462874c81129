"""`python -m observability.dashboard.draw --out FILE [--prometheus URL] [--minutes 60]`: the panels, as a page.

Every panel's queries are put to a Prometheus; exit code 1 names the panels that have no data and should have.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from observability.dashboard.panels import PANELS, Query
from observability.dashboard.picture import Line, page_of

_LABEL = re.compile(r"\{\{(\w+)\}\}")
POINTS = 200


def lines_of(http: httpx.Client, query: Query, start_s: float, end_s: float) -> list[Line]:
    """What Prometheus answers to a query over a span. Raises httpx.HTTPError."""
    step = max((end_s - start_s) / POINTS, 1.0)
    asked = {"query": query.expr, "start": str(start_s), "end": str(end_s), "step": str(step)}
    answer = http.get("/api/v1/query_range", params=asked).raise_for_status().json()
    found: Sequence[dict[str, Any]] = answer["data"]["result"]
    lines = (Line(_named(query.legend, one["metric"]), _points(one["values"])) for one in found)
    return [line for line in lines if line.points]


def _points(values: Sequence[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    """Without what is no number: a share of nothing."""
    return tuple((at, value) for at, text in values if math.isfinite(value := float(text)))


def _named(legend: str, labels: dict[str, str]) -> str:
    return _LABEL.sub(lambda match: labels.get(match[1], ""), legend)


def told_of(lines: Mapping[str, Sequence[Line]]) -> tuple[str, bool]:
    """Which panels are empty, and whether all that should have data have some; `lines` by the panel's title."""
    empty = [panel for panel in PANELS if not lines.get(panel.title)]
    counted = f"{len(PANELS) - len(empty)} of {len(PANELS)} panels have data"
    told = (f"{'may be empty' if panel.may_be_empty else 'no data'}: {panel.title}" for panel in empty)
    return "\n".join((counted, *told)), all(panel.may_be_empty for panel in empty)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    end_s = time.time()
    with httpx.Client(base_url=arguments.prometheus, timeout=10.0) as http:
        lines = {
            panel.title: [
                line
                for query in panel.queries
                for line in lines_of(http, query, end_s - 60 * arguments.minutes, end_s)
            ]
            for panel in PANELS
        }
    arguments.out.write_text(page_of(lines, "Serinus"))
    told, is_whole = told_of(lines)
    print(f"{arguments.out}: {told}")
    sys.exit(0 if is_whole else 1)


if __name__ == "__main__":
    main()
