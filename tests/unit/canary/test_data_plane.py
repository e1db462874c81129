"""What the routers did is compared with what the table asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from canary.data_plane import Intent, Served, intent_of, verify_data_plane
from canary.sample_ratio import SampleRatio, judge_ratio, observe
from canary.verdict import Verdict

from .tables import ab_test, canary, table

INTENT = intent_of(table(canary=canary(1_000)))
RIGHT = [Served(7, "champion", "1", 90), Served(7, "baseline", "1", 9), Served(7, "canary", "2", 10)]


def test_stamps_that_match_are_counted() -> None:
    found = verify_data_plane(INTENT, RIGHT)
    assert (found.verdict, "109 readings" in found.reason) == (Verdict.SUCCESSFUL, True)


def test_no_reading_under_this_table_is_inconclusive() -> None:
    assert verify_data_plane(INTENT, []).verdict is Verdict.INCONCLUSIVE
    assert verify_data_plane(INTENT, [Served(6, "canary", "9", 50)]).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("arm", "version"), [("canary", "3"), ("champion", "2"), ("arm-x", "1")])
def test_another_version_behind_an_arm_is_an_alarm_at_once(arm: str, version: str) -> None:
    found = verify_data_plane(INTENT, [*RIGHT, Served(7, arm, version, 1)])
    assert (found.verdict, arm in found.reason) == (Verdict.FAILED, True)


def test_while_frozen_one_reading_by_a_canary_is_an_alarm() -> None:
    frozen = intent_of(table(canary=canary(1_000), frozen=True))
    assert verify_data_plane(frozen, RIGHT[:1]).verdict is Verdict.SUCCESSFUL
    assert verify_data_plane(frozen, [Served(7, "canary", "2", 1)]).verdict is Verdict.FAILED


def test_every_arm_of_an_ab_test_is_intended() -> None:
    intent = intent_of(table(ab_test=ab_test(5_000, 5_000)))
    assert verify_data_plane(intent, [Served(7, "arm-1", "11", 3)]).verdict is Verdict.SUCCESSFUL


def test_a_split_that_is_not_the_weight_is_an_alarm_though_every_stamp_is_right() -> None:
    state = SampleRatio()
    for _ in range(60):
        state = observe(state, chosen=True, weight_bp=1_000)
    found = verify_data_plane(INTENT, RIGHT, [judge_ratio([state])])
    assert (found.verdict, "split" in found.reason) == (Verdict.FAILED, True)


NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("epoch", "generation", "at", "is_stale"),
    [
        (3, 6, LATER, True),  # by the table before this one
        (2, 9, LATER, True),  # by a controller that was followed by another, with a count of its own
        (3, 6, NOON, False),  # assigned before this table was in force everywhere
        (4, 7, LATER, False),  # this table, published again by the next controller
        (3, 7, LATER, False),
    ],
)
def test_a_router_that_goes_on_with_an_older_table_is_an_alarm(
    epoch: int, generation: int, at: datetime, is_stale: bool
) -> None:
    """After `weight 0` nobody may still be given to the canary, whatever the table of then said."""
    intent = intent_of(table(), epoch=3, in_force_since=NOON)
    found = verify_data_plane(intent, [Served(generation, "champion", "1", 1, epoch, at)])
    assert ("older table" in found.reason, found.verdict is Verdict.FAILED) == (is_stale, is_stale)


def test_an_alarm_about_the_split_keeps_its_words_while_the_evidence_grows() -> None:
    state, sentences = SampleRatio(), set()
    for count in range(60):
        state = observe(state, chosen=True, weight_bp=1_000)
        if count > 40:
            sentences.add(verify_data_plane(INTENT, RIGHT, [judge_ratio([state])]).reason)
    assert sentences == {"the split is not the weight"}


def test_a_table_of_a_former_epoch_with_the_same_number_is_another_table() -> None:
    """After lost control state the numbers begin anew, and what was read before is no mismatch."""
    intent = Intent(1, {"champion": "2"}, epoch=5)
    before = Served(1, "champion", "1", 40, epoch=3)
    assert verify_data_plane(intent, [before]).verdict is Verdict.INCONCLUSIVE
    assert verify_data_plane(intent, [replace(before, epoch=6)]).verdict is Verdict.FAILED
