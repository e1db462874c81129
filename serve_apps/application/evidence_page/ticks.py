"""Where an axis is labelled: round numbers, and round times."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

_TIME_STEPS_S: Final = (
    *(60, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200),
    *(86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 28 * 86_400, 91 * 86_400, 364 * 86_400),
)
DAY_S: Final = 86_400


def round_step(span: float, most: int) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that cuts `span` (above 0) into at most `most` parts."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(factor * power for factor in (1, 2, 5, 10, 20) if span / (factor * power) <= most)


def number_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within low..high, at most `most` and one."""
    if high <= low:
        return [low]
    step = round_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def time_ticks(low: datetime, high: datetime, most: int = 7) -> list[tuple[datetime, str]]:
    """Round times of UTC within low..high, with what they are called."""
    start, end = low.timestamp(), high.timestamp()
    span = max(end - start, 1.0)
    step = next((one for one in _TIME_STEPS_S if span / one <= most), math.ceil(span / most))
    times = (datetime.fromtimestamp(step * number, UTC) for number in _multiples(start, end, step))
    form = "%d %b %Y" if step >= DAY_S else "%d %b %H:%M"
    return [(at, at.strftime(form)) for at in times]


def _multiples(start: float, end: float, step: int) -> range:
    return range(math.ceil(start / step), math.floor(end / step) + 1)
