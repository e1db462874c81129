"""The rules of a job's life."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.state import FINISHED, MOVES, OPEN, JobState, may_move

STATES = st.sampled_from(JobState)


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
