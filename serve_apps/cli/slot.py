"""A slot of a layer as people write it: `reading:0-50`, in per cent."""

from __future__ import annotations

from typing import Any

import typer

from canary.slot_text import SLOT_FORM, read_slot
from serve_apps.cli.percent import in_percent

SLOT_HELP = f"{SLOT_FORM}."


def slot_from(text: str) -> dict[str, Any]:
    """The slot as the API takes it; raises BadParameter."""
    try:
        slot = read_slot(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return {"layer": slot.layer, "start": slot.start, "stop": slot.stop}


def slot_in_words(slot: dict[str, Any]) -> str:
    return f"{slot['layer']}:{in_percent(slot['start'])} to {in_percent(slot['stop'])}"
