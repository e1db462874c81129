"""Which studies a withdrawn version's recall holds, how the champion's reading differs, and who comes first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.disagreement import FindingReport, FindingStatus
from canary.recall import (
    SCORE_TOLERANCE,
    SEEN_AFTER,
    SETTLED_AFTER,
    Difference,
    RecallRank,
    RecallState,
    SaidOfStudy,
    belongs_until,
    compare,
    in_order,
    is_complete,
    is_withdrawn,
    recall_alarm,
    summary,
)
from canary.rollout.status import RolloutPhase

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SOON = timedelta(seconds=1)
PRESENT, ABSENT = FindingStatus.PRESENT, FindingStatus.ABSENT
UNSURE, UNTOLD = FindingStatus.INDETERMINATE, FindingStatus.NOT_REPORTED


def said(status: FindingStatus = ABSENT, *, critical: bool = False, **more: Any) -> SaidOfStudy:
    """A version that speaks of one finding; NOT_REPORTED: of none."""
    findings = () if status is UNTOLD else (FindingReport("n@SCT", "Nodule", status, critical),)
    return SaidOfStudy("1", findings, **more)


def rank(item: str = "a", state: RecallState = RecallState.COMPARED, **more: Any) -> RecallRank:
    fields: dict[str, Any] = {"item": item, "state": state, "answered_at": NOON, **more}
    return RecallRank(**fields)


@pytest.mark.parametrize(
    ("delivered", "champion", "difference"),
    [
        (said(ABSENT), said(PRESENT, critical=True), Difference.CRITICAL),
        (said(PRESENT, critical=True), said(UNSURE), Difference.CRITICAL),
        (said(UNTOLD), said(PRESENT, critical=True), Difference.CRITICAL),
        (said(PRESENT, critical=True), said(PRESENT, critical=True), Difference.NONE),
        (said(ABSENT, critical=True), said(PRESENT), Difference.CRITICAL),
        (said(ABSENT), said(PRESENT), Difference.FINDING),
        (said(PRESENT), said(UNTOLD), Difference.FINDING),
        (said(PRESENT), said(UNSURE), Difference.INDETERMINATE),
        (said(UNSURE), said(UNTOLD), Difference.INDETERMINATE),
        (said(ABSENT), said(UNTOLD), Difference.NONE),
        (said(UNTOLD), said(UNTOLD), Difference.NONE),
    ],
)
def test_the_worst_that_two_readings_differ_in_names_the_difference(
    delivered: SaidOfStudy, champion: SaidOfStudy, difference: Difference
) -> None:
    assert compare(delivered, champion).difference is difference


def test_what_the_delivered_result_missed_is_told_apart_from_what_it_alone_saw() -> None:
    missed = compare(said(ABSENT), said(PRESENT, critical=True))
    alone = compare(said(PRESENT, critical=True), said(ABSENT))
    assert (missed.delivered_missed, alone.delivered_missed) == (True, False)
    (change,) = missed.changes
    assert (change.code, change.delivered, change.champion, change.is_critical) == (
        "n@SCT",
        ABSENT,
        PRESENT,
        True,
    )


@given(points=st.integers(-100, 100))
def test_a_score_differs_by_ten_points_or_more(points: int) -> None:
    ours, theirs = max(0, -points), max(0, points)
    found = compare(said(priority_score=ours), said(priority_score=theirs))
    assert found.score_change == points
    assert (found.difference is Difference.SCORE) == (abs(points) >= SCORE_TOLERANCE)


def test_a_score_that_one_version_does_not_give_is_no_difference() -> None:
    found = compare(said(priority_score=90), said())
    assert (found.difference, found.score_change) == (Difference.NONE, None)


@pytest.mark.parametrize(
    ("theirs", "difference"),
    [
        (7.9, Difference.SCORE),
        (8.1, Difference.NONE),
        (12.4, Difference.NONE),
        (12.6, Difference.SCORE),
        (0.0, Difference.SCORE),
    ],
)
def test_a_measurement_differs_by_more_than_a_fifth_of_the_larger(
    theirs: float, difference: Difference
) -> None:
    found = compare(said(measurements={"mm": 10.0, "ours": 1.0}), said(measurements={"mm": theirs}))
    assert found.difference is difference


statuses = st.sampled_from(FindingStatus)
versions = st.builds(said, statuses, critical=st.booleans(), priority_score=st.none() | st.integers(0, 100))


@given(one=versions, other=versions)
def test_the_difference_does_not_depend_on_which_of_the_two_was_delivered(
    one: SaidOfStudy, other: SaidOfStudy
) -> None:
    assert compare(one, other).difference is compare(other, one).difference


@given(one=versions)
def test_a_version_agrees_with_itself(one: SaidOfStudy) -> None:
    found = compare(one, one)
    assert (found.difference, found.changes, found.delivered_missed) == (Difference.NONE, (), False)


def test_a_list_begins_with_what_a_person_has_to_look_at_first() -> None:
    wanted = (
        rank("missed", difference=Difference.CRITICAL, delivered_missed=True),
        rank("alone", difference=Difference.CRITICAL),
        rank("finding", difference=Difference.FINDING),
        rank("score 40", difference=Difference.SCORE, score_change=-40),
        rank("score 20", difference=Difference.SCORE, score_change=20),
        rank("unsure", difference=Difference.INDETERMINATE),
        rank("gone", RecallState.UNREADABLE),
        rank("pending today", RecallState.PENDING),
        rank("pending before", RecallState.PENDING, answered_at=NOON - SOON),
        rank("agrees", difference=Difference.NONE),
        rank("closed", difference=Difference.CRITICAL, delivered_missed=True, is_closed=True),
    )
    assert in_order(reversed(wanted)) == wanted
    counted = summary(wanted)
    assert (counted.studies, counted.open, counted.to_look_now) == (11, 9, 2)
    assert (counted.pending, counted.unreadable, counted.closed) == (2, 1, 1)
    assert counted.by_difference[Difference.CRITICAL] == 3


ranks = st.builds(
    RecallRank,
    item=st.text("abc", min_size=1, max_size=2),
    state=st.sampled_from(RecallState),
    answered_at=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
    difference=st.none() | st.sampled_from(Difference),
    delivered_missed=st.booleans(),
    score_change=st.none() | st.integers(-100, 100),
    is_closed=st.booleans(),
)


@given(st.lists(ranks))
def test_no_open_item_stands_behind_one_that_nobody_has_to_look_at(items: list[RecallRank]) -> None:
    flags = [one.is_open for one in in_order(items)]
    assert flags == sorted(flags, reverse=True)
    assert summary(items).open == sum(flags)


@given(st.lists(ranks, unique_by=lambda one: one.item).flatmap(lambda items: st.permutations(items)))
def test_the_order_does_not_depend_on_that_of_the_rows(items: list[RecallRank]) -> None:
    assert in_order(items) == in_order(sorted(items, key=lambda one: one.item))


@pytest.mark.parametrize("phase", RolloutPhase)
def test_what_goes_back_is_withdrawn_and_nothing_else(phase: RolloutPhase) -> None:
    goes_back = phase in (RolloutPhase.ROLLING_BACK, RolloutPhase.FAILED)
    assert is_withdrawn(phase, None, NOON) is goes_back
    assert is_withdrawn(phase, NOON - SETTLED_AFTER, NOON) is goes_back
    assert not is_withdrawn(phase, NOON - SETTLED_AFTER - SOON, NOON), "nobody asks for it any more"


def test_a_study_belongs_to_the_withdrawal_until_the_version_is_given_studies_again() -> None:
    assert belongs_until(NOON, None) == NOON + SETTLED_AFTER
    assert belongs_until(NOON, NOON + SOON) == NOON + SOON
    assert belongs_until(NOON, NOON + 2 * SETTLED_AFTER) == NOON + SETTLED_AFTER


def test_a_list_is_complete_when_no_row_can_still_be_seen() -> None:
    assert not is_complete(NOON, NOON + SEEN_AFTER - SOON)
    assert is_complete(NOON, NOON + SEEN_AFTER)


def test_the_alarm_tells_numbers_and_no_study() -> None:
    told = recall_alarm("5", 2, 14, 2)
    assert told.startswith("version 5 (run 2) was withdrawn, and 14 of the studies that it answered wait")
    assert "2 of them of a critical difference" in told
    assert "critical" not in recall_alarm("5", None, 1, 0)
