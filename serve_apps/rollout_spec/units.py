"""How a spec writes times, shares, hours and days; each becomes the unit of the plan."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from canary.rollout.address import LONGEST_ADDRESS, require_address
from canary.rollout.windows import WEEKDAYS, Window

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
LONGEST_S: Final = 36_500 * 86_400
_DURATION: Final = r"^[1-9][0-9]{0,6}[smhdw]$"
_WINDOW: Final = re.compile(
    r"^(?P<first>[A-Z][a-z]{2})(?:-(?P<last>[A-Z][a-z]{2}))?"
    r" (?P<opens>[0-2][0-9]:[0-5][0-9])-(?P<closes>[0-2][0-9]:[0-5][0-9])$"
)


def seconds_of(text: str) -> int:
    """`14d` are 1 209 600."""
    return int(text[:-1]) * SECONDS[text[-1]]


def duration_of(text: str) -> int:
    """The seconds of a time as a spec writes it. Raises ValueError for any other text."""
    if re.fullmatch(_DURATION, text) is None:
        raise ValueError("a time is a number and a unit: s, m, h, d or w, as in 14d")
    return seconds_of(_is_short(text))


def basis_points_of(percent: float) -> int:
    return round(percent * 100)


def window_of(text: str) -> Window:
    """`Mon-Thu 08:00-16:00`, or `Sat 09:00-12:00`. Raises ValueError. 24:00 is the end of a day."""
    parts = _WINDOW.match(text)
    if parts is None:
        raise ValueError("a window is written as Mon-Thu 08:00-16:00")
    names = (parts["first"], parts["last"] or parts["first"])
    if unknown := [name for name in names if name not in WEEKDAYS]:
        raise ValueError(f"weekdays are {', '.join(WEEKDAYS)}, not {unknown[0]}")
    first, last = (WEEKDAYS.index(name) for name in names)
    days = {(first + ahead) % 7 for ahead in range((last - first) % 7 + 1)}
    return Window(frozenset(days), _time(parts["opens"]), _time(parts["closes"]))


def _time(text: str) -> time:
    if text == "24:00":
        return time.max
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ValueError("hours lie within 00:00 and 24:00") from None


def _is_fine(percent: float) -> float:
    if abs(percent * 100 - round(percent * 100)) > 1e-6:
        raise ValueError("a share is a multiple of 0.01 %")
    return percent


def _is_short(duration: str) -> str:
    """Beyond some thousand years no date can be told of when it ends."""
    if seconds_of(duration) > LONGEST_S:
        raise ValueError("a time is at most 100 years, as 36500d")
    return duration


def _is_window(text: str) -> str:
    window_of(text)
    return text


Duration = Annotated[
    str,
    Field(pattern=_DURATION, description="a number and a unit: s, m, h, d or w, as in 14d"),
    AfterValidator(_is_short),
]
Percent = Annotated[
    float, Field(gt=0, le=100, description="in percent, in steps of 0.01"), AfterValidator(_is_fine)
]
WindowText = Annotated[str, Field(description="as Mon-Thu 08:00-16:00"), AfterValidator(_is_window)]
Url = Annotated[
    str,
    Field(max_length=LONGEST_ADDRESS, description="https, or http on loopback; the site allows its host"),
    AfterValidator(require_address),
]
