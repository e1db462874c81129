"""The rules of a job's life, and whose turn it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.state import FINISHED, MOVES, OPEN, PRIORITY_DELAY_S, JobState, Priority, may_move, turn
from tests.unit.ledger.conftest import NOON

STATES = st.sampled_from(JobState)
PRIORITIES = st.sampled_from(Priority)
SECONDS = st.floats(0, 1e6)


@given(before=st.sampled_from(sorted(FINISHED)), after=STATES)
def test_a_finished_job_stays_as_it_is(before: JobState, after: JobState) -> None:
    assert not may_move(before, after)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_job_can_end(state: JobState) -> None:
    reached = {state}
    while more := {after for each in reached for after in MOVES[each]} - reached:
        reached |= more
    assert reached & FINISHED


def test_a_result_that_exists_is_not_taken_back() -> None:
    assert MOVES[JobState.STORING] == {JobState.COMPLETED}


@given(first=PRIORITIES, second=PRIORITIES)
def test_of_two_that_came_together_the_more_urgent_is_first(first: Priority, second: Priority) -> None:
    order = list(Priority)
    assert (turn(first, NOON) < turn(second, NOON)) == (order.index(first) < order.index(second))


@given(priority=PRIORITIES, other=PRIORITIES, waited_s=SECONDS)
def test_nobody_is_overtaken_for_longer_than_a_handicap(
    priority: Priority, other: Priority, waited_s: float
) -> None:
    longest = max(PRIORITY_DELAY_S.values())
    came_later = NOON + timedelta(seconds=waited_s + longest + 1)
    assert turn(priority, NOON) < turn(other, came_later)


@given(priority=PRIORITIES, gap_s=st.floats(0.001, 1e6))
def test_within_one_priority_who_came_first_is_first(priority: Priority, gap_s: float) -> None:
    assert turn(priority, NOON) < turn(priority, NOON + timedelta(seconds=gap_s))
