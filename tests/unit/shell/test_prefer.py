"""`Prefer` by RFC 7240."""

from __future__ import annotations

import doctest
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_apps.api import prefer
from serve_apps.api.prefer import preferences, preferred_wait


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["respond-async, wait=10"], {"respond-async": "", "wait": "10"}),
        (["respond-async", "wait=10"], {"respond-async": "", "wait": "10"}),
        (["WAIT = 10"], {"wait": "10"}),
        (['wait="10"'], {"wait": "10"}),
        (["wait=10; a=b;c"], {"wait": "10"}),
        (["wait=10, wait=20", "wait=30"], {"wait": "10"}),
        (['foo="a,b;c=\\"d\\"", wait=5'], {"foo": 'a,b;c="d"', "wait": "5"}),
        (['foo=""'], {"foo": ""}),
        (["foo; ;bar"], {"foo": ""}),
        (["", ",,", "=", "a b", "wait=", "wait=5 s"], {}),
        (["x" * 2000 + ", wait=5", "wait=6"], {"wait": "6"}),
    ],
)
def test_a_preference_is_read_as_the_standard_says(headers: list[str], expected: dict[str, str]) -> None:
    assert preferences(headers) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("10", 10.0),
        ("301", 300.0),
        ("9" * 900, 300.0),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_a_wait_is_whole_seconds_and_bounded(value: str, seconds: float | None) -> None:
    assert preferred_wait({"wait": value}, 300.0) == seconds


def test_nobody_who_prefers_nothing_waits() -> None:
    assert preferred_wait({}, 300.0) is None


@given(st.lists(st.text(max_size=60), max_size=4))
def test_no_header_is_an_error(headers: list[str]) -> None:
    assert all(name == name.lower() for name in preferences(headers))


@pytest.mark.parametrize(
    "hostile", ['"\\' * 500, 'a="' + '\\"' * 490, "a;" + " ;" * 490 + "\x01", "a" + " " * 990 + "="]
)
def test_no_header_takes_long(hostile: str) -> None:
    began = time.perf_counter()
    preferences([hostile] * 50)
    assert time.perf_counter() - began < 1.0


def test_the_example_is_true() -> None:
    assert doctest.testmod(prefer).failed == 0
