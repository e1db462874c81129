"""As many replicas as let every study begin by its time, and no more; they come at once and go slowly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.replicas import (
    SOONEST_S,
    START_S,
    Asked,
    Bounds,
    Capacity,
    Demand,
    DueStudies,
    bounds_of,
    demand,
    most_replicas,
    scale,
)
from core.priority import PRIORITY_DELAY_S, Priority
from core.weekly_hours import hours_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ONE_TO_FOUR = Bounds(1, 4)


def due(priority: Priority, studies: float, age_s: float = 0.0) -> DueStudies:
    at = NOON + timedelta(seconds=PRIORITY_DELAY_S[priority] - age_s)
    return DueStudies("ich", priority, at, studies)


groups = st.builds(due, st.sampled_from(Priority), st.integers(1, 500), st.floats(0, 7200))
queues = st.lists(groups, max_size=8)
times = st.floats(0.05, 60)


@pytest.mark.parametrize(
    ("waiting", "replicas", "priority"),
    [
        ([], 0, None),
        ([due(Priority.ROUTINE, 1)], 1, Priority.ROUTINE),
        ([due(Priority.ROUTINE, 290)], 1, Priority.ROUTINE),  # 580 s of work within 585
        ([due(Priority.ROUTINE, 300)], 2, Priority.ROUTINE),
        ([due(Priority.URGENT, 290)], 13, Priority.URGENT),
        ([due(Priority.STAT, 20)], 3, Priority.STAT),
        ([due(Priority.STAT, 1)], 1, Priority.STAT),
        ([due(Priority.BATCH, 1700)], 1, Priority.BATCH),
        ([due(Priority.BATCH, 1700), due(Priority.URGENT, 30)], 2, Priority.URGENT),
        ([due(Priority.BATCH, 1700, age_s=3000)], 6, Priority.BATCH),  # its hour is nearly over
    ],
)
def test_studies_of_two_seconds_ask_for_what_reads_them_in_time(
    waiting: list[DueStudies], replicas: int, priority: Priority | None
) -> None:
    assert demand(waiting, 2.0, 1.0, NOON) == Demand(replicas, priority)


@given(queues, groups, times)
def test_more_that_waits_never_asks_for_less(
    waiting: list[DueStudies], more: DueStudies, study_s: float
) -> None:
    assert (
        demand([*waiting, more], study_s, 1.0, NOON).replicas >= demand(waiting, study_s, 1.0, NOON).replicas
    )


@given(queues, times, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_of_the_patients_never_asks_for_less(
    waiting: list[DueStudies], study_s: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert demand(waiting, study_s, low, NOON).replicas <= demand(waiting, study_s, high, NOON).replicas


@given(queues, times)
def test_the_order_in_which_studies_are_told_changes_nothing(
    waiting: list[DueStudies], study_s: float
) -> None:
    assert demand(waiting, study_s, 1.0, NOON) == demand(waiting[::-1], study_s, 1.0, NOON)


@given(queues, times)
def test_every_study_can_be_read_by_its_time_with_what_is_asked_for_and_one_less_is_late(
    waiting: list[DueStudies], study_s: float
) -> None:
    """The claim of the rule: what is due by a time fits into the replicas until then, or each has one of its own."""

    def is_in_time(replicas: int) -> bool:
        for one in waiting:
            within_s = max(SOONEST_S, (one.due - NOON).total_seconds() - START_S)
            studies = sum(other.studies for other in waiting if other.due <= one.due)
            if studies * study_s > within_s * replicas * (1 + 1e-6) and replicas < studies:
                return False
        return True

    asked = demand(waiting, study_s, 1.0, NOON).replicas
    assert is_in_time(asked)
    assert asked == 0 or not is_in_time(asked - 1)


@given(st.integers(0, 100), st.integers(0, 100_000), times)
def test_what_is_urgent_has_its_replicas_whatever_batch_waits_behind_it(
    urgent: int, batch: int, study_s: float
) -> None:
    alone = demand([due(Priority.URGENT, urgent)], study_s, 1.0, NOON).replicas
    together = [due(Priority.BATCH, batch), due(Priority.URGENT, urgent)]
    asked = demand(together, study_s, 1.0, NOON).replicas
    of_batch = demand([due(Priority.BATCH, batch + urgent)], study_s, 1.0, NOON).replicas
    assert alone <= asked == max(alone, of_batch)


@given(st.integers(1, 2000), times)
def test_the_same_studies_ask_for_more_the_more_urgent_they_are(studies: int, study_s: float) -> None:
    asked = [demand([due(one, studies)], study_s, 1.0, NOON).replicas for one in Priority]
    assert asked == sorted(asked, reverse=True)


@given(queues, st.floats(0, 1), st.floats(1, 10_000))
def test_no_study_asks_for_more_than_one_replica(
    waiting: list[DueStudies], share: float, study_s: float
) -> None:
    studies = sum(one.studies for one in waiting) * share
    assert demand(waiting, study_s, share, NOON).replicas <= ceil(studies)


# ---- up at once, down slowly

steps = st.lists(st.tuples(st.floats(0, 400), st.integers(0, 9)), min_size=1, max_size=30)


def scaled(steps: list[tuple[float, int]], bounds: Bounds, keep_s: float) -> list[tuple[float, int, int]]:
    """At what time how many were asked for and wanted."""
    at_s, past, told = 0.0, (), []
    for pause_s, replicas in steps:
        at_s += pause_s
        wanted, past = scale(Demand(replicas, Priority.ROUTINE), bounds, past, keep_s, at_s)
        told.append((at_s, replicas, wanted.replicas))
    return told


@given(steps, st.floats(0, 600))
def test_it_stays_within_its_bounds_and_follows_upwards_at_once(
    steps: list[tuple[float, int]], keep_s: float
) -> None:
    for _, asked, wanted in scaled(steps, ONE_TO_FOUR, keep_s):
        assert 1 <= wanted <= 4
        assert wanted >= min(asked, 4)


@given(steps, st.floats(1, 600))
def test_a_replica_goes_only_when_it_was_not_needed_for_the_whole_delay(
    steps: list[tuple[float, int]], keep_s: float
) -> None:
    told = scaled(steps, ONE_TO_FOUR, keep_s)
    for number, (at_s, _, wanted) in enumerate(told):
        needed = [asked for then_s, asked, _ in told[: number + 1] if then_s > at_s - keep_s]
        assert wanted == max(1, min(4, max(needed)))


@given(steps, st.floats(1, 600))
def test_it_never_flaps(steps: list[tuple[float, int]], keep_s: float) -> None:
    """What has been added stays for the delay: no two changes of direction are nearer than that."""
    told = scaled(steps, ONE_TO_FOUR, keep_s)
    risen_at = None
    for (_, _, before), (at_s, _, wanted) in pairwise(told):
        if wanted > before:
            risen_at = at_s
        if wanted < before and risen_at is not None:
            assert at_s - risen_at >= keep_s - 1e-6


def test_hours_begin_and_end_at_once_and_say_so() -> None:
    (hours,) = hours_of("mon-fri 07:00-19:00 3")
    day, night = bounds_of(1, 4, hours, may_sleep=False), bounds_of(1, 4, None, may_sleep=False)
    wanted, past = scale(Demand(0), day, (), 300.0, 0.0)
    assert wanted.in_words == "3 of 3–4: hours mon-fri 07:00-19:00 3"
    wanted, _ = scale(Demand(0), night, past, 300.0, 1.0)
    assert wanted.in_words == "1 of 1–4"


def test_who_sleeps_says_so() -> None:
    wanted, _ = scale(Demand(0), bounds_of(0, 1, None, may_sleep=True), (), 300.0, 0.0)
    assert wanted.in_words == "0 of 0–1: sleeps until it is asked"


def test_it_says_who_waits_in_words_that_stay_while_it_does() -> None:
    wanted, past = scale(Demand(3, Priority.URGENT), ONE_TO_FOUR, (), 300.0, 0.0)
    assert wanted.in_words == "3 of 1–4: for urgent studies that wait, or did within 300 s"
    later, past = scale(Demand(1, Priority.ROUTINE), ONE_TO_FOUR, past, 300.0, 100.0)
    assert later == wanted
    more, _ = scale(Demand(9, Priority.STAT), ONE_TO_FOUR, past, 300.0, 110.0)
    assert (
        more.in_words
        == "4 of 1–4: for stat studies that wait, or did within 300 s; stat studies ask for more"
    )


def test_what_runs_when_a_controller_begins_is_kept_for_the_delay() -> None:
    wanted, past = scale(Demand(0), ONE_TO_FOUR, (Asked(0.0, 3),), 300.0, 1.0)
    assert wanted.in_words == "3 of 1–4: for what ran within 300 s"
    assert scale(Demand(0), ONE_TO_FOUR, past, 300.0, 301.0).wanted.replicas == 1


@pytest.mark.parametrize(
    ("capacity", "most"),
    [
        (Capacity(2), 1),
        (Capacity(4), 2),
        (Capacity(32), 16),
        (Capacity(1), 1),
        (Capacity(32, gpus=2), 2),
        (Capacity(32, memory_bytes=8 << 30), 8),
    ],
)
def test_without_a_number_there_are_as_many_as_make_reading_faster(capacity: Capacity, most: int) -> None:
    assert most_replicas(None, capacity, cpus=0.1, gpus=0.25, memory_bytes=1 << 30) == most
    assert most_replicas(5, capacity) == 5


def test_who_may_answer_has_a_replica_and_who_sleeps_has_one_in_its_hours() -> None:
    (hours,) = hours_of("mon-fri 07:00-19:00 1")
    assert bounds_of(0, 1, None, may_sleep=False).least == 1
    assert bounds_of(0, 1, None, may_sleep=True).least == 0
    assert bounds_of(0, 1, hours, may_sleep=True).least == 1
    assert bounds_of(2, 1, None, may_sleep=True) == Bounds(2, 2), "a number that was asked for goes before"


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.most"):
        replace(ONE_TO_FOUR, least=5)
