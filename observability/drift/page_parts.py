"""Parts of which the drift page is made: tables, drawings, shares and days as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

WIDTH: Final = 720


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are text, never markup; those of the columns `numbers` stand at the right."""
    names = "".join(
        f'<th class="n">{escape(name)}</th>' if index in numbers else f"<th>{escape(name)}</th>"
        for index, name in enumerate(head)
    )
    lines = "".join(
        "<tr>"
        + "".join(
            f'<td class="n">{escape(cell)}</td>' if index in numbers else f"<td>{escape(cell)}</td>"
            for index, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{names}</tr>{lines}</table>"


def svg(height: int, title: str, *parts: str) -> str:
    inner = f"<title>{escape(title)}</title>{''.join(parts)}"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">{inner}</svg>'


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def day_of(number: int, slice_s: int) -> str:
    """The day on which a slice began (UTC); with its hour where slices are shorter than a day."""
    form = "%Y-%m-%d" if slice_s >= 86_400 else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(number * slice_s, UTC).strftime(form)
