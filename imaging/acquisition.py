"""How images were acquired, as far as an intended use depends on it: with contrast medium, and from which side."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from pydicom.dataset import Dataset

from imaging.elements import floats, text

_NO_AGENT: Final = frozenset(
    {"", "NO", "NONE", "N", "NIL", "0", "NO CONTRAST", "WITHOUT", "W/O", "NATIVE", "N/A"}
)
_VIEW_BY_CODE: Final = {  # CID 4010, in SNOMED CT and in the codes that it replaced
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-10214": "PA",
    "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL",
}  # fmt: skip
_OTHER_VIEW: Final = "OTHER"


def has_contrast(images: Iterable[Dataset]) -> bool:
    """Whether any image names a contrast agent, or a volume of one (PS3.3 C.7.6.4).

    A blank ContrastBolusAgent says nothing: scanners write it into every header. A frame of an enhanced image may
    say that none of its object's agents was given by then (C.7.6.16.2.12).
    """
    return any(_names_agent(image) for image in images)


def _names_agent(image: Dataset) -> bool:
    usage = image.get("ContrastBolusUsageSequence")
    if usage and all(text(agent, "ContrastBolusAgentAdministered") == "NO" for agent in usage):
        return False
    if text(image, "ContrastBolusAgent").upper() not in _NO_AGENT:
        return True
    if "ContrastBolusAgentSequence" in image and len(image.ContrastBolusAgentSequence) > 0:
        return True
    return any(volume_ml > 0 for volume_ml in floats(image, "ContrastBolusVolume"))


def view_of(image: Dataset) -> str:
    """The view of a projection as ViewPosition says it (PS3.3 C.8.1.2), else by its code; blank when neither does."""
    stated = text(image, "ViewPosition").upper()
    if stated or "ViewCodeSequence" not in image or not len(image.ViewCodeSequence):
        return stated
    return _VIEW_BY_CODE.get(text(image.ViewCodeSequence[0], "CodeValue"), _OTHER_VIEW)


def exposure_of(image: Dataset) -> tuple[tuple[str, float], ...]:
    """Tube voltage in kV and exposure in mAs (PS3.3 C.8.7.2), each where the header tells it as a number."""
    told = (("kvp", "KVP"), ("exposure_mas", "Exposure"))
    found = ((name, _first_number(image, keyword)) for name, keyword in told)
    return tuple((name, value) for name, value in found if value is not None)


def _first_number(image: Dataset, keyword: str) -> float | None:
    try:
        values = floats(image, keyword)
    except (TypeError, ValueError):
        return None
    return values[0] if values and math.isfinite(values[0]) else None
