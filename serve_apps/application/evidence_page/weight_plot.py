"""Draw how much a candidate was granted over time, and where the rollout moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final
from xml.etree import ElementTree as ET

from serve_apps.application.evidence_page.frame import (
    Frame,
    apart,
    draw_axes,
    drawing,
    line,
    path,
    text_of,
    write,
)
from serve_apps.application.evidence_page.ticks import number_ticks, time_ticks

NUMBER_GAP: Final = 15.0  # events that lie closer share the number of the first
Y_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Granted:
    """From a moment on: the weight and the mirror in percent; `number` is that of the event."""

    at: datetime
    number: int
    weight: float
    mirror: float


def draw(granted: Sequence[Granted], until: datetime) -> str:
    """Weight and mirror as steps, with the numbers of the events above. `granted` has one entry at least."""
    start = granted[0].at
    end = max(until, granted[-1].at, start + timedelta(minutes=1))
    frame = Frame(x=(start.timestamp(), end.timestamp()), y=(0.0, 100.0), height=200.0, top=30.0)
    svg = drawing(frame, "Weight and mirror of the candidate over time")
    x_ticks = [(at.timestamp(), name) for at, name in time_ticks(start, end, most=5)]
    y_ticks = [(value, f"{value:g} %") for value in number_ticks(0, 100, most=Y_TICKS)]
    draw_axes(svg, frame, x_ticks, y_ticks, "time (UTC)")
    _draw_events(svg, frame, granted)
    weights = [(one.at.timestamp(), one.weight) for one in granted]
    mirrors = [(one.at.timestamp(), one.mirror) for one in granted]
    path(svg, _steps(frame, mirrors), "curve mirror")
    path(svg, _steps(frame, weights), "curve weight")
    right = frame.edges[2]
    ends = [frame.at(0, series[-1][1])[1] for series in (weights, mirrors)]
    names = (("answers", "weight"), ("mirror", "mirror"))
    for (name, kind), height in zip(names, apart(ends, frame.top + 4, frame.edges[3]), strict=True):
        write(svg, (right + 8, height + 4), name, f"name {kind}")
    return text_of(svg)


def _draw_events(svg: ET.Element, frame: Frame, granted: Sequence[Granted]) -> None:
    last = -NUMBER_GAP
    for one in granted:
        x, bottom = frame.at(one.at.timestamp(), 0.0)
        line(svg, (x, frame.top), (x, bottom), "moment")
        if x - last >= NUMBER_GAP:
            write(svg, (x, frame.top - 8), str(one.number), "tick", anchor="middle")
            last = x


def _steps(frame: Frame, series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What was granted stays until the next grant, or the end."""
    corners = [frame.at(*series[0])]
    for (_, before), (x, after) in pairwise(series):
        corners += [frame.at(x, before), frame.at(x, after)]
    return [*corners, frame.at(frame.x[1], series[-1][1])]
