"""When a study is read, and when another job's reading answers for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.same_reading import OtherReader, Turn, turn_of

OUTPUTS = frozenset({"json", "sr"})
sets = st.frozensets(st.sampled_from(("json", "sr", "seg")))
readers = st.builds(OtherReader, sets, st.booleans(), st.booleans(), st.booleans())


def test_what_nobody_has_read_is_read() -> None:
    assert turn_of(OUTPUTS, None, forced=False) is Turn.READ


def test_what_another_job_has_read_is_not_read_again() -> None:
    assert turn_of(OUTPUTS, OtherReader(OUTPUTS, has_result=True), forced=False) is Turn.SAME


def test_what_another_job_reads_now_is_waited_for() -> None:
    assert turn_of(OUTPUTS, OtherReader(OUTPUTS, is_reading=True), forced=False) is Turn.WAIT


def test_a_job_that_ended_without_a_result_or_lost_its_worker_leaves_the_reading_to_the_next() -> None:
    assert turn_of(OUTPUTS, OtherReader(OUTPUTS), forced=False) is Turn.READ


def test_a_report_that_did_not_reach_its_store_is_made_again() -> None:
    other = OtherReader(OUTPUTS, has_result=True, undelivered=True)
    assert turn_of(OUTPUTS, other, forced=False) is Turn.READ


@pytest.mark.parametrize(
    ("wanted", "made", "turn"),
    [
        ({"json"}, {"json", "sr"}, Turn.SAME),
        ({"json", "sr", "seg"}, {"json", "sr"}, Turn.READ),
    ],
)
def test_a_result_answers_only_for_the_outputs_that_it_has(
    wanted: set[str], made: set[str], turn: Turn
) -> None:
    assert turn_of(wanted, OtherReader(made, has_result=True), forced=False) is turn


@given(wanted=sets, other=readers)
def test_whoever_forces_a_reading_gets_one(wanted: frozenset[str], other: OtherReader) -> None:
    assert turn_of(wanted, other, forced=True) is Turn.READ


@given(wanted=sets, other=readers)
def test_nobody_waits_for_a_job_that_does_not_read(wanted: frozenset[str], other: OtherReader) -> None:
    waits = turn_of(wanted, other, forced=False) is Turn.WAIT
    assert waits == (other.is_reading and not other.has_result)
