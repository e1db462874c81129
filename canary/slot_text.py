"""A slot of a layer as people write it: `reading:0-50`, in per cent."""

from __future__ import annotations

import re
from typing import Final

from canary.routing_table import Slot

SLOT_FORM: Final = "LAYER:FROM-TO in per cent, such as reading:0-50"
_LAYER_SALT: Final = "layer/"  # every experiment of a layer draws its place in it alike
_PERCENT: Final = r"\d{1,3}(?:\.\d{1,2})?"
_SLOT: Final = re.compile(rf"(?P<layer>[^:]+):(?P<start>{_PERCENT})-(?P<stop>{_PERCENT})")


def slot_in_layer(layer: str, start_bp: int, stop_bp: int) -> Slot:
    """The slot of a layer. Raises ValueError for a range that is empty or leaves 0..10000 basis points."""
    return Slot(layer, f"{_LAYER_SALT}{layer}", start_bp, stop_bp)


def read_slot(text: str) -> Slot:
    """The slot that a text names. Raises ValueError with what is wrong."""
    match = _SLOT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no slot: write {SLOT_FORM}")
    start, stop = (round(float(match[name]) * 100) for name in ("start", "stop"))
    return slot_in_layer(match["layer"], start, stop)
