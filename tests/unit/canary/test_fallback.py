"""A canary can fail in every way and the caller never sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.fallback import (
    Action,
    Attempt,
    CallerDeadline,
    Failure,
    FallbackPolicy,
    after_failure,
    variant_budget_s,
)

POLICY = FallbackPolicy(stable_reserve_s=1.0)
failures = st.sampled_from(list(Failure))
seconds = st.floats(0, 600)


@given(
    failure=failures.filter(lambda f: f is not Failure.CANCELLED),
    left=st.floats(0.05, 600),
    number=st.integers(1, 9),
)
def test_whatever_a_canary_does_wrong_the_champion_answers(
    failure: Failure, left: float, number: int
) -> None:
    step = after_failure(Attempt(False, failure, number, left), POLICY)
    assert step.action is Action.FALL_BACK
    assert step.budget_s == left


@given(failure=failures, left=seconds, number=st.integers(1, 9))
def test_nothing_ever_falls_from_the_champion_to_another_variant(
    failure: Failure, left: float, number: int
) -> None:
    assert after_failure(Attempt(True, failure, number, left), POLICY).action is not Action.FALL_BACK


@given(failure=failures, left=seconds, number=st.integers(1, 9), champion=st.booleans())
def test_no_step_outlives_the_callers_deadline(
    failure: Failure, left: float, number: int, champion: bool
) -> None:
    step = after_failure(Attempt(champion, failure, number, left), POLICY)
    assert 0 <= step.budget_s <= left
    assert (step.action is Action.GIVE_UP) == (step.budget_s == 0)


@given(failure=failures, left=seconds, champion=st.booleans())
def test_failing_again_and_again_ends(failure: Failure, left: float, champion: bool) -> None:
    step, calls = after_failure(Attempt(champion, failure, 1, left), POLICY), 1
    number = 1
    while step.action is not Action.GIVE_UP:
        number = 1 if step.action is Action.FALL_BACK else number + 1
        champion = champion or step.action is Action.FALL_BACK
        step, calls = after_failure(Attempt(champion, failure, number, left), POLICY), calls + 1
    assert calls <= 3


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_counts_unless_the_variant_was_not_asked_or_right_not_to_answer(
    failure: Failure,
) -> None:
    blameless = (Failure.CANCELLED, Failure.OUTSIDE_USE, Failure.FOREIGN_INPUT, Failure.NO_TIME)
    counts = failure not in blameless
    assert after_failure(Attempt(False, failure, 1, 5.0), POLICY).counts is counts


def test_a_dead_champion_replica_is_asked_for_once_more_and_a_wrong_answer_is_not() -> None:
    assert after_failure(Attempt(True, Failure.UNAVAILABLE, 1, 5.0), POLICY).action is Action.RETRY
    assert after_failure(Attempt(True, Failure.UNAVAILABLE, 2, 5.0), POLICY).action is Action.GIVE_UP
    assert after_failure(Attempt(True, Failure.ERROR, 1, 5.0), POLICY).action is Action.GIVE_UP


def test_without_time_left_nobody_is_asked() -> None:
    assert after_failure(Attempt(False, Failure.TIMEOUT, 1, 0.01), POLICY).action is Action.GIVE_UP


@given(left=seconds)
def test_a_canarys_share_always_leaves_the_champion_its_time(left: float) -> None:
    budget = variant_budget_s(left, POLICY)
    if budget is None:
        assert left < 1.1
    else:
        assert left - budget >= POLICY.stable_reserve_s - 1e-9
        assert POLICY.min_budget_s <= budget <= left * POLICY.variant_share


@pytest.mark.parametrize(
    "wrong",
    [{"variant_share": 0.0}, {"variant_share": 1.1}, {"stable_reserve_s": -1.0}, {"champion_attempts": 0}],
)
def test_an_impossible_policy_cannot_be_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        FallbackPolicy(**({"stable_reserve_s": 1.0} | wrong))  # type: ignore[arg-type]


@given(left=seconds, patience=st.floats(0.1, 60))
def test_a_variant_that_hangs_is_waited_for_no_longer_than_the_sites_patience(
    left: float, patience: float
) -> None:
    budget = variant_budget_s(left, FallbackPolicy(stable_reserve_s=1.0, canary_timeout_s=patience))
    assert budget is None or budget <= patience


@given(left=st.floats(0, 1000), caller_left=st.floats(0, 1000), patience=st.floats(0.05, 100))
def test_a_caller_s_deadline_leaves_the_champion_his_share_of_it(
    left: float, caller_left: float, patience: float
) -> None:
    policy = FallbackPolicy(stable_reserve_s=1.0, canary_timeout_s=patience)
    budget, unhurried = variant_budget_s(left, policy, caller_left), variant_budget_s(left, policy)
    if budget is not None:
        assert budget <= caller_left * (1 - policy.variant_share) + 1e-9
        assert unhurried is not None
        assert budget <= unhurried


@pytest.mark.parametrize(
    ("is_asked", "after_s", "left_s"),
    [(True, 10, 20.0), (True, 30, 0.0), (True, 99, 0.0), (False, 10, 20.0), (False, 30, None)],
)
def test_a_deadline_that_was_asked_for_holds_on_and_a_wait_is_over(
    is_asked: bool, after_s: float, left_s: float | None
) -> None:
    accepted = datetime(2026, 5, 1, tzinfo=UTC)
    deadline = CallerDeadline(accepted + timedelta(seconds=30), is_asked)
    assert deadline.left_s(accepted + timedelta(seconds=after_s)) == left_s
