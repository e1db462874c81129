"""A slot of a layer as people write it: `reading:0-50`, in per cent."""

from __future__ import annotations

import re
from typing import Any

import typer

from serve_apps.cli.percent import in_percent, to_basis_points

_PERCENT = r"\d{1,3}(?:\.\d{1,2})?"
_SLOT = re.compile(rf"(?P<layer>[^:]+):(?P<start>{_PERCENT})-(?P<stop>{_PERCENT})")
SLOT_HELP = "LAYER:FROM-TO in per cent, such as reading:0-50."


def slot_from(text: str) -> dict[str, Any]:
    """The slot as the API takes it; raises BadParameter."""
    match = _SLOT.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text} is no slot: write {SLOT_HELP}")
    start, stop = (to_basis_points(float(match[name])) for name in ("start", "stop"))
    return {"layer": match["layer"], "start": start, "stop": stop}


def slot_in_words(slot: dict[str, Any]) -> str:
    return f"{slot['layer']}:{in_percent(slot['start'])} to {in_percent(slot['stop'])}"
