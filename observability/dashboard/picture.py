"""The dashboard as one page that needs nothing else, for a site without Grafana and for whoever checks the panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from observability.dashboard.panels import SECTIONS, Panel, Unit

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 190, 52, 18, 8
COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
MOST_LINES: Final = 8
STYLE: Final = """
body{font:14px system-ui,sans-serif;margin:24px;color:#17212b;background:#f3f5f7}
h1{font-size:22px}h2{font-size:17px;margin:28px 0 8px}
section{display:grid;grid-template-columns:repeat(auto-fill,minmax(420px,1fr));gap:12px}
figure{background:#fff;border:1px solid #d9dfe5;border-radius:4px;margin:0;padding:12px}
figcaption{font-weight:600}p{margin:2px 0 8px;color:#55606b;font-size:12.5px}
ul{list-style:none;margin:6px 0 0;padding:0;font-size:12px}li{display:inline-block;margin-right:12px}
svg text{font:10.5px system-ui,sans-serif;fill:#55606b}.none{color:#9a3412}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """`points` are (seconds since the Unix epoch, value), in order."""

    name: str
    points: tuple[tuple[float, float], ...]


def page_of(lines: Mapping[str, Sequence[Line]], title: str) -> str:
    """The page; `lines` by the panel's title. A panel without any says so."""
    body = "".join(
        f"<h2>{escape(section.title)}</h2><section>"
        + "".join(_figure(panel, lines.get(panel.title, ())) for panel in section.panels)
        + "</section>"
        for section in SECTIONS
    )
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
    return (
        f"<!doctype html><html lang=en><head>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def _figure(panel: Panel, lines: Sequence[Line]) -> str:
    nothing = "<p>nothing to show</p>" if panel.may_be_empty else '<p class="none">no data</p>'
    drawn = _svg(panel, lines) if lines else nothing
    legend = "".join(
        f'<li><svg width="12" height="8"><rect width="12" height="8" fill="{COLOURS[k % len(COLOURS)]}"/></svg>'
        f" {escape(line.name)}</li>"
        for k, line in enumerate(lines[:MOST_LINES])
    )
    more = f"<li>and {len(lines) - MOST_LINES} more</li>" if len(lines) > MOST_LINES else ""
    return (
        f"<figure><figcaption>{escape(panel.title)}</figcaption><p>{escape(panel.tells)}</p>{drawn}"
        f"<ul>{legend}{more}</ul></figure>"
    )


def _svg(panel: Panel, lines: Sequence[Line]) -> str:
    times = [at for line in lines for at, _ in line.points]
    first, last = min(times), max(times)
    highest = max((value for line in lines for _, value in line.points), default=0.0) or 1.0

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 6) * ((at - first) / (last - first) if last > first else 1.0)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / highest

    grid = "".join(_mark(panel.unit, highest * k / 2, y(highest * k / 2)) for k in range(3))
    drawn = "".join(
        f'<polyline fill="none" stroke-width="1.6" stroke="{COLOURS[k % len(COLOURS)]}" points="'
        + " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line.points)
        + '"/>'
        for k, line in enumerate(lines[:MOST_LINES])
    )
    span = f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">{(last - first) / 60:.0f} min</text>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{grid}{drawn}{span}</svg>'


def _mark(unit: Unit, value: float, height: float) -> str:
    """A line across, with its value at the axis."""
    return (
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{height:.1f}" y2="{height:.1f}" stroke="#e3e8ed"/>'
        f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{in_unit(value, unit)}</text>'
    )


def in_unit(value: float, unit: Unit) -> str:
    """A number of an axis."""
    match unit:
        case Unit.SHARE:
            return f"{100 * value:.3g} %"
        case Unit.SECONDS:
            return f"{value:.3g} s" if value >= 1 or value == 0 else f"{1000 * value:.3g} ms"
        case Unit.PER_SECOND:
            return f"{value:.3g}/s"
        case Unit.BYTES_PER_SECOND:
            return f"{value / 1e6:.3g} MB/s"
        case Unit.NUMBER:
            return f"{value:.3g}"
