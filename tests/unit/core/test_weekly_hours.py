"""Hours are those that clocks on the wall show, on the days on which these are changed, too."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.weekly_hours import DAYS, hours_at, hours_of

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    ("UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe")
)
MINUTES = st.integers(0, 24 * 60 - 1)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def held(text: str, at: datetime, zone: ZoneInfo = BERLIN) -> int:
    found = hours_at(hours_of(text), at, zone)
    return 0 if found is None else found.number


def hours_of_day(text: str, day: date) -> float:
    """For how many hours they hold from noon of the day before to noon of the day after."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN) - timedelta(days=1)
    begin, end = noon.astimezone(UTC), (noon + timedelta(days=2)).astimezone(UTC)
    quarters = range(int((end - begin) / timedelta(minutes=15)))
    return sum(held(text, begin + timedelta(minutes=15 * one)) > 0 for one in quarters) / 4


@pytest.mark.parametrize(
    ("at", "number"),
    [
        ("2026-11-30T06:59", 0),  # a Monday
        ("2026-11-30T07:00", 3),
        ("2026-11-30T18:59", 3),
        ("2026-11-30T19:00", 0),
        ("2026-12-05T09:00", 2),  # a Saturday
        ("2026-12-06T09:00", 0),
    ],
)
def test_they_hold_from_their_beginning_until_before_their_end(at: str, number: int) -> None:
    text = "mon-fri 07:00-19:00 3; sat 08:00-12:00 2"
    assert held(text, datetime.fromisoformat(at).replace(tzinfo=BERLIN)) == number


def test_of_two_that_hold_the_higher_number_counts() -> None:
    text = "mon-sun 00:00-24:00 1; mon 10:00-11:00 4"
    assert held(text, datetime(2026, 11, 30, 10, 30, tzinfo=BERLIN)) == 4
    assert held(text, datetime(2026, 11, 30, 11, 30, tzinfo=BERLIN)) == 1


def test_nights_belong_to_the_day_on_which_they_begin() -> None:
    text = "fri 22:00-06:00 1"
    for at, number in (("2026-12-04T23:00", 1), ("2026-12-05T05:59", 1), ("2026-12-05T23:00", 0)):
        assert held(text, datetime.fromisoformat(at).replace(tzinfo=BERLIN)) == number


@pytest.mark.parametrize(
    ("day", "night"),
    [
        (date(2026, 3, 29), 2.0),  # clocks go from 02:00 to 03:00
        (date(2026, 10, 25), 4.0),  # and from 03:00 to 02:00
        (date(2026, 6, 7), 3.0),
    ],
)
def test_a_change_of_the_clocks_moves_no_office_hours_and_counts_in_the_night(
    day: date, night: float
) -> None:
    assert hours_of_day("sun 01:00-04:00 1", day) == night
    assert hours_of_day("sun 07:00-19:00 1", day) == 12
    assert hours_of_day("sat 13:00-24:00 1", day) == 11


@given(
    zone=ZONES.map(ZoneInfo),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    begin=MINUTES,
    end=MINUTES,
)
def test_either_the_hours_or_their_complement_hold(
    zone: ZoneInfo, at: datetime, days: set[str], begin: int, end: int
) -> None:
    """At every moment, in every zone: 07:00-19:00 of a day and 19:00-07:00 after it leave no gap and no overlap."""
    if begin == end:
        return
    named = ",".join(sorted(days))
    first = held(f"{named} {clock(begin)}-{clock(end)} 1", at, zone)
    other_days = set(DAYS) - days
    second = held(f"{named} {clock(end)}-{clock(begin)} 1", at, zone)
    local = at.astimezone(zone)
    if not other_days:
        assert first + second == 1
    elif (
        local.strftime("%a").lower() not in days
        and (local - timedelta(days=1)).strftime("%a").lower() not in days
    ):
        assert first + second == 0


@pytest.mark.parametrize("text", ["", " ", ";"])
def test_no_hours_are_no_hours(text: str) -> None:
    assert hours_of(text) == ()


def test_days_may_go_over_the_end_of_the_week() -> None:
    (hours,) = hours_of("sat-mon,wed 07:00-08:00 1")
    assert hours.days == {5, 6, 0, 2}


@given(st.text(st.sampled_from("montue-,;: 0123456789") | st.characters(), max_size=40))
def test_a_text_is_hours_or_is_refused_with_a_sentence(text: str) -> None:
    with suppress(ValueError):
        assert all(one.text in text.lower() for one in hours_of(text))
