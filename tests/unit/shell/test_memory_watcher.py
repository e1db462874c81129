"""A reader is ended before the machine is short, and for nothing that others hold."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_apps.adapters.memory_watcher import (
    FASTEST,
    IDLE_BYTES,
    LONGEST_PAUSE_S,
    SHORT,
    SHORTEST_PAUSE_S,
    fault,
    field_bytes,
    held_bytes,
    machine_bytes,
    pause_s,
)

GIB = 1 << 30
MACHINE = (24 * GIB, 12 * GIB)
sizes = st.integers(0, 64 * GIB)


@pytest.mark.parametrize(
    ("held", "left", "says"),
    [
        (2 * GIB, 12 * GIB, None),
        (8 * GIB + 1, 12 * GIB, "it holds 8192 MiB and may hold 8192"),
        (2 * GIB, GIB, "it holds 2048 MiB and the machine has 1024 MiB left"),
        (IDLE_BYTES, 0, None),
    ],
)
def test_who_holds_too_much_is_ended(held: int, left: int, says: str | None) -> None:
    assert fault(held, 8 * GIB, 24 * GIB, left) == says


@given(held=sizes, limit=sizes, left=sizes)
def test_a_reader_that_holds_little_is_never_ended_for_what_others_hold(
    held: int, limit: int, left: int
) -> None:
    why = fault(held, limit, 64 * GIB, left)
    assert (why is None) == (held <= limit and (held <= IDLE_BYTES or left >= SHORT * 64 * GIB))


@given(held=sizes, limit=sizes, left=sizes)
def test_no_pause_is_so_long_that_the_limit_is_passed_by_much(held: int, limit: int, left: int) -> None:
    pause = pause_s(held, limit, 64 * GIB, left)
    assert SHORTEST_PAUSE_S <= pause <= LONGEST_PAUSE_S
    assert held + FASTEST * pause <= max(held, limit) + FASTEST * SHORTEST_PAUSE_S + 1


def test_a_process_reads_what_it_holds_and_what_the_machine_has() -> None:
    assert 10 << 20 < held_bytes(os.getpid()) < 64 * GIB
    total, left = machine_bytes()
    assert 0 < left <= total


def test_an_absent_field_is_none() -> None:
    assert field_bytes("RssAnon:\t  12 kB\n", "RssAnon") == 12 * 1024
    assert field_bytes("VmSize: 12 kB", "RssAnon") == 0
