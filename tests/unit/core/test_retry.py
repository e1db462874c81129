"""By its class and its age a failure is tried again: no study is lost to an outage, and none is tried for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.retry import (
    Attempts,
    FailureClass,
    RetryDecision,
    RetryPolicy,
    after_failure,
    loss_pause_s,
    pause_s,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = RetryPolicy()
WAITS = (FailureClass.SOURCE_AWAY, FailureClass.MODEL_AWAY)


def failing(kind: FailureClass, age_s: float, failed: int = 0, losses: int = 0) -> RetryDecision:
    """What follows a failure at noon, the first of its kind in a row having been `age_s` before."""
    behind = Attempts(failed, losses, NOON - timedelta(seconds=age_s))
    return after_failure(kind, behind, NOON, POLICY)


@pytest.mark.parametrize("kind", WAITS)
def test_an_outage_of_five_minutes_or_a_night_loses_no_study(kind: FailureClass) -> None:
    for age_s in (0.0, 300.0, 12 * 3600.0, 24 * 3600.0 - 1):
        assert failing(kind, age_s, failed=1_000).at is not None
    assert failing(kind, 24 * 3600.0).at is None


def test_waiting_for_a_model_is_no_attempt_and_for_a_source_it_is() -> None:
    assert not failing(FailureClass.MODEL_AWAY, 60.0).counts
    assert failing(FailureClass.SOURCE_AWAY, 60.0).counts


def test_a_lost_worker_costs_no_attempt_and_the_first_no_time() -> None:
    first = failing(FailureClass.WORKER_LOST, 0.0)
    assert (first.at, first.counts) == (NOON, False)


def test_a_study_that_takes_its_worker_down_again_and_again_is_given_up() -> None:
    losses = 0
    while (decision := failing(FailureClass.WORKER_LOST, 0.0, losses=losses)).at is not None:
        assert not decision.counts
        losses += 1
    assert losses + 1 == POLICY.worker_losses


def test_a_network_that_fails_is_tried_a_few_times_far_apart() -> None:
    waits = []
    while (at := failing(FailureClass.MODEL_FAILED, 0.0, failed=len(waits)).at) is not None:
        waits.append((at - NOON).total_seconds())
    assert len(waits) + 1 == POLICY.model_failed_attempts
    assert waits == sorted(waits)
    assert sum(waits) > 30, "long enough for a health check to replace the replica"


def test_what_is_permanent_is_told_at_once() -> None:
    assert failing(FailureClass.PERMANENT, 0.0).at is None


@given(failed=st.integers(0, 10_000))
def test_a_pause_grows_and_is_bounded(failed: int) -> None:
    assert 0 < pause_s(failed, POLICY) <= pause_s(failed + 1, POLICY) <= POLICY.longest_pause_s
    assert loss_pause_s(failed, POLICY) <= loss_pause_s(failed + 1, POLICY)


@given(kind=st.sampled_from(FailureClass), age_s=st.floats(0, 1e6), failed=st.integers(0, 99))
def test_nothing_is_tried_again_before_now(kind: FailureClass, age_s: float, failed: int) -> None:
    decision = failing(kind, age_s, failed=failed)
    assert decision.at is None or decision.at >= NOON
