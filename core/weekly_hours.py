"""Hours of the week, each with a number that holds then: `mon-fri 07:00-19:00 3; sat 08:00-12:00 2`. Pure.

A time is what clocks on the wall show: on the day on which they are put back an hour, hours from 01:00 to 04:00 last
four hours, and on the day on which they are put forward two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 24 * 60
MOST: Final = 1000
EXAMPLE: Final = "mon-fri 07:00-19:00 3"
_PART: Final = re.compile(
    r"(?P<days>[a-z,-]+)\s+(?P<begin>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d)\s+(?P<number>\d{1,6})"
)


@dataclass(frozen=True, slots=True)
class Hours:
    """From `begin_min` to, not including, `end_min` of some days of the week (Monday is 0), in minutes of the day.

    Hours that end before they begin go on into the next day.
    """

    days: frozenset[int]
    begin_min: int
    end_min: int
    number: int
    text: str

    def hold(self, local: datetime) -> bool:
        """Whether they hold at a time on the wall."""
        minute = local.hour * 60 + local.minute
        is_today = local.weekday() in self.days
        if self.begin_min < self.end_min:
            return is_today and self.begin_min <= minute < self.end_min
        was_yesterday = (local - timedelta(days=1)).weekday() in self.days
        return (is_today and minute >= self.begin_min) or (was_yesterday and minute < self.end_min)


@lru_cache(256)
def hours_of(text: str) -> tuple[Hours, ...]:
    """The hours of a text, none of an empty one. Raises ValueError with what is wrong with which part."""
    return tuple(_part(part.strip().lower()) for part in text.split(";") if part.strip())


def hours_at(hours: Iterable[Hours], at: datetime, zone: tzinfo) -> Hours | None:
    """Those of the highest number that hold at the moment, as clocks in `zone` show it; None where none do."""
    local = at.astimezone(zone).replace(tzinfo=None)
    return max((one for one in hours if one.hold(local)), key=lambda one: one.number, default=None)


def _part(text: str) -> Hours:
    found = _PART.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no hours such as {EXAMPLE!r}")
    begin_min, end_min = _minute(found["begin"], text), _minute(found["end"], text)
    if begin_min in (end_min, DAY_MIN):
        raise ValueError(f"{text!r} begins when it ends")
    number = int(found["number"])
    if number > MOST:
        raise ValueError(f"{text!r} names more than {MOST}")
    return Hours(_days(found["days"], text), begin_min, end_min, number, text)


def _minute(text: str, part: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > DAY_MIN:
        raise ValueError(f"{part!r} has no time of day in {text!r}")
    return hour * 60 + minute


def _days(text: str, part: str) -> frozenset[int]:
    found: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        if first not in DAYS or (last or first) not in DAYS or piece.endswith("-"):
            raise ValueError(f"{part!r} has no day of the week in {piece!r} ({', '.join(DAYS)})")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if begin <= end else end + 8)}
    return frozenset(found)
