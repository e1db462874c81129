"""A plot's frame: where values lie on the drawing, its axes and its labels. SVG without a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

Position = tuple[float, float]
LINE_HEIGHT = 14.0


@dataclass(frozen=True, slots=True)
class Frame:
    """Values from `x` and `y` (low, high) within margins of a drawing; all lengths in its own unit."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float = 720.0
    height: float = 250.0
    left: float = 46.0
    right: float = 122.0
    top: float = 14.0
    bottom: float = 40.0

    def at(self, x: float, y: float) -> Position:
        """Where a value lies. One beyond the frame lies beyond it, too."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        inner = self.width - self.left - self.right, self.height - self.top - self.bottom
        return self.left + across * inner[0], self.top + (1.0 - up) * inner[1]

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the plot itself."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


def drawing(frame: Frame, title: str) -> ET.Element:
    """An empty drawing. `title` says what it shows to who cannot see it."""
    svg = ET.Element("svg", viewBox=f"0 0 {number(frame.width)} {number(frame.height)}", role="img")
    svg.set("xmlns", "http://www.w3.org/2000/svg")
    ET.SubElement(svg, "title").text = title
    return svg


def draw_axes(
    svg: ET.Element,
    frame: Frame,
    x_ticks: Iterable[tuple[float, str]],
    y_ticks: Iterable[tuple[float, str]],
    x_label: str,
) -> None:
    """Rules across at the ticks of y, marks at those of x, and what is counted below. y is named in the caption."""
    left, top, right, bottom = frame.edges
    for value, text in y_ticks:
        y = frame.at(frame.x[0], value)[1]
        line(svg, (left, y), (right, y), "grid")
        write(svg, (left - 8, y + 4), text, "tick", anchor="end")
    line(svg, (left, top), (left, bottom), "axis")
    line(svg, (left, bottom), (right, bottom), "axis")
    for value, text in x_ticks:
        x = frame.at(value, frame.y[0])[0]
        line(svg, (x, bottom), (x, bottom + 4), "axis")
        write(svg, (x, bottom + 17), text, "tick", anchor="middle")
    write(svg, ((left + right) / 2, frame.height - 5), x_label, "label", anchor="middle")


def line(svg: ET.Element, start: Position, end: Position, kind: str) -> None:
    names = ("x1", "y1", "x2", "y2")
    places = {name: number(value) for name, value in zip(names, (*start, *end), strict=True)}
    ET.SubElement(svg, "line", {"class": kind, **places})


def path(svg: ET.Element, points: Sequence[Position], kind: str) -> None:
    """A line through the points; nothing without one."""
    if points:
        steps = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        ET.SubElement(svg, "polyline", {"class": kind, "points": steps})


def write(svg: ET.Element, at: Position, text: str, kind: str, *, anchor: str = "start") -> None:
    places = {"class": kind, "x": number(at[0]), "y": number(at[1]), "text-anchor": anchor}
    ET.SubElement(svg, "text", places).text = text


def dot(svg: ET.Element, at: Position, kind: str, radius: float = 3.5) -> None:
    ET.SubElement(
        svg, "circle", {"class": kind, "cx": number(at[0]), "cy": number(at[1]), "r": number(radius)}
    )


def apart(wanted: Sequence[float], low: float, high: float, gap: float = LINE_HEIGHT) -> list[float]:
    """Heights as near to the wanted ones as may be, `gap` apart and within low..high as far as there is room."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    heights = [0.0] * len(wanted)
    floor = low
    for index in order:
        heights[index] = max(wanted[index], floor)
        floor = heights[index] + gap
    ceiling = high
    for index in reversed(order):
        heights[index] = min(heights[index], ceiling)
        ceiling = heights[index] - gap
    return heights


def number(value: float) -> str:
    """As short as a drawing needs it."""
    return f"{value:.1f}".removesuffix(".0")


def text_of(svg: ET.Element) -> str:
    """The drawing as text in which nothing that it was given is read as markup."""
    return ET.tostring(svg, encoding="unicode")
