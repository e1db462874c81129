"""Draw e-values: log10 over the observations, with the limits at which they decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as ET

from serve_apps.application.evidence_page.frame import (
    Frame,
    apart,
    dot,
    draw_axes,
    drawing,
    line,
    path,
    text_of,
    write,
)
from serve_apps.application.evidence_page.ticks import number_ticks

LOWEST: Final = -4.0  # far below, all that a curve says is that nothing speaks for it
Points = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One e-value: its points (observations, log10 e) in order, what it is called, and how it is drawn."""

    name: str
    points: Points
    kind: str


@dataclass(frozen=True, slots=True)
class Limit:
    """A log10 of an e-value that decides, and after how many observations it was first reached."""

    value: float
    name: str
    kind: str
    reached_at: int | None = None


@dataclass(frozen=True, slots=True)
class EValuePlot:
    title: str
    unit: str
    curves: Sequence[Curve]
    limits: Sequence[Limit] = field(default_factory=tuple)

    @property
    def is_empty(self) -> bool:
        return not any(len(curve.points) > 1 for curve in self.curves)

    @property
    def lowest(self) -> float:
        return min((y for curve in self.curves for _, y in curve.points), default=0.0)


def draw(plot: EValuePlot) -> str:
    """The plot as SVG. Curves and limits end at their names; what lies below `LOWEST` is drawn there."""
    frame = _frame(plot)
    svg = drawing(frame, plot.title)
    whole = [value for value in number_ticks(*frame.x) if value == int(value)]
    x_ticks = [(value, f"{value:,.0f}".replace(",", " ")) for value in whole]
    y_ticks = [(value, f"{value:g}".replace("-", "−")) for value in number_ticks(*frame.y, most=5)]
    draw_axes(svg, frame, x_ticks, y_ticks, plot.unit)
    left, _, right, bottom = frame.edges
    write(svg, (left - 8, 12), "log10 E", "label")
    line(svg, (left, frame.at(0, 0)[1]), (right, frame.at(0, 0)[1]), "zero")
    for limit in plot.limits:
        y = frame.at(0, limit.value)[1]
        line(svg, (left, y), (right, y), f"limit {limit.kind}")
    for curve in plot.curves:
        path(svg, _within(frame, curve.points), f"curve {curve.kind}")
    for limit in plot.limits:
        if limit.reached_at is not None:
            place = frame.at(limit.reached_at, limit.value)
            dot(svg, place, f"reached {limit.kind}")
            line(svg, place, (place[0], bottom), f"drop {limit.kind}")
    _name(svg, frame, plot)
    return text_of(svg)


def _frame(plot: EValuePlot) -> Frame:
    highest = max((y for curve in plot.curves for _, y in curve.points), default=0.0)
    most = max((x for curve in plot.curves for x, _ in curve.points), default=1.0)
    top = max(highest, 1.0, *(limit.value for limit in plot.limits)) if plot.limits else max(highest, 1.0)
    low = max(LOWEST, min(plot.lowest, -0.3))
    room = 0.12 * (top - low)
    return Frame(x=(0.0, max(most, 1.0)), y=(low - room / 2, top + room), top=24.0, height=260.0)


def _within(frame: Frame, points: Points) -> list[tuple[float, float]]:
    """The curve, cut off at `LOWEST`."""
    return [frame.at(x, max(y, LOWEST)) for x, y in points if math.isfinite(y)]


def _name(svg: ET.Element, frame: Frame, plot: EValuePlot) -> None:
    """At the right, where each curve ends and each limit lies; apart, so that all can be read."""
    _, top, right, bottom = frame.edges
    drawn = [curve for curve in plot.curves if curve.points]
    names = [(curve.name, curve.kind, max(curve.points[-1][1], LOWEST)) for curve in drawn]
    names += [(limit.name, limit.kind, limit.value) for limit in plot.limits]
    heights = apart([frame.at(frame.x[0], value)[1] for *_, value in names], top + 4, bottom)
    for (name, kind, _), height in zip(names, heights, strict=True):
        write(svg, (right + 8, height + 4), name, f"name {kind}")
