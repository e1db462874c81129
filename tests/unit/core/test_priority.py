"""STAT begins before all else that has not begun; the rest waits for a bounded time, however many STAT come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.priority import PRIORITY_DELAY_S, Priority, queue_order

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONGEST_S = max(PRIORITY_DELAY_S.values())
ARRIVALS = st.lists(
    st.tuples(st.sampled_from(Priority), st.floats(0, 3 * LONGEST_S)), min_size=1, max_size=30
)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


@given(priority=st.sampled_from([p for p in Priority if p is not Priority.STAT]), gap_s=st.floats(0, 1e7))
def test_a_stat_study_goes_before_all_else_however_old_that_is(priority: Priority, gap_s: float) -> None:
    assert queue_order(Priority.STAT, at(gap_s)) < queue_order(priority, NOON)


@given(first=st.sampled_from(Priority), second=st.sampled_from(Priority))
def test_of_two_that_came_together_the_more_urgent_is_first(first: Priority, second: Priority) -> None:
    ranks = list(Priority)
    earlier = ranks.index(first) < ranks.index(second)
    assert (queue_order(first, NOON) < queue_order(second, NOON)) == earlier


@given(priority=st.sampled_from(Priority), gap_s=st.floats(0.001, 1e6))
def test_within_one_priority_who_came_first_is_first(priority: Priority, gap_s: float) -> None:
    assert queue_order(priority, NOON) < queue_order(priority, at(gap_s))


@given(arrivals=ARRIVALS)
def test_nobody_but_stat_overtakes_what_came_longer_before_it_than_a_delay(
    arrivals: list[tuple[Priority, float]],
) -> None:
    """So a study waits at most for those that came within its delay after it, and for STAT."""
    queue = sorted(arrivals, key=lambda arrival: queue_order(arrival[0], at(arrival[1])))
    for place, (priority, second) in enumerate(queue):
        for other, came in queue[:place]:
            assert other is Priority.STAT or came <= second + PRIORITY_DELAY_S[priority]
