"""When people are there: the hours in which a rollout may raise what it exposes, and the days on which it may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SEARCHED_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some weekdays (0 is Monday), by the wall clock: from `opens` to before `closes`."""

    weekdays: frozenset[int]
    opens: time
    closes: time

    def __post_init__(self) -> None:
        if not self.weekdays or not self.weekdays <= frozenset(range(7)):
            raise ValueError("a window names weekdays")
        if self.opens >= self.closes:
            raise ValueError("a window closes after it opens, on the same day: write two for a night")

    def is_open(self, local: datetime) -> bool:
        return local.weekday() in self.weekdays and self.opens <= local.time() < self.closes


@dataclass(frozen=True, slots=True)
class Freeze:
    """Whole days on which nothing is raised, both ends included."""

    first: date
    last: date
    reason: str = ""

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("a freeze ends on or after the day on which it begins")

    def holds(self, local: datetime) -> bool:
        return self.first <= local.date() <= self.last


@dataclass(frozen=True, slots=True)
class Calendar:
    """Windows and freezes of one site, in its time zone (an IANA name). Without a window it is always open."""

    zone: str = "UTC"
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("the time zone is an IANA name such as Europe/Paris") from None


def closed_reason(calendar: Calendar, now: datetime) -> str | None:
    """Why nothing may be raised now, and when it may again; None while it may."""
    local = now.astimezone(ZoneInfo(calendar.zone))
    freeze = next((one for one in calendar.freezes if one.holds(local)), None)
    if freeze is not None:
        return f"frozen until {freeze.last:%Y-%m-%d}{f' ({freeze.reason})' if freeze.reason else ''}"
    if not calendar.windows or any(window.is_open(local) for window in calendar.windows):
        return None
    opening = next_opening(calendar, now)
    until = f"{opening:%a %Y-%m-%d %H:%M} {calendar.zone}" if opening else "no window opens within a year"
    return f"outside of the allowed windows, next {until}" if opening else until


def opens_at(calendar: Calendar, now: datetime) -> datetime | None:
    """The first moment from now on at which something may be raised; None if there is none within a year."""
    if closed_reason(calendar, now) is None:
        return now
    if calendar.windows:
        return next_opening(calendar, now)
    zone = ZoneInfo(calendar.zone)
    day = now.astimezone(zone)
    while freeze := next((one for one in calendar.freezes if one.holds(day)), None):
        if (freeze.last - day.date()).days > _SEARCHED_DAYS:
            return None
        day = datetime.combine(freeze.last + timedelta(days=1), time.min, tzinfo=zone)
    return day


def next_opening(calendar: Calendar, now: datetime) -> datetime | None:
    """When the next window opens that no freeze shuts, in the calendar's zone; None if none does within a year."""
    local = now.astimezone(ZoneInfo(calendar.zone))
    for opening in _openings(calendar, local):
        if opening > local and not any(one.holds(opening) for one in calendar.freezes):
            return opening
    return None


def _openings(calendar: Calendar, local: datetime) -> Iterator[datetime]:
    for ahead in range(_SEARCHED_DAYS):
        day = local.date() + timedelta(days=ahead)
        opens = sorted(w.opens for w in calendar.windows if day.weekday() in w.weekdays)
        yield from (datetime.combine(day, one, tzinfo=local.tzinfo) for one in opens)
