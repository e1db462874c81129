"""The golden input decides whether studies or the replica were at fault."""

from __future__ import annotations

import pytest

from serve_apps.application.replica_health import HealthLimits, ReplicaHealth


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def health(clock: Clock | None = None) -> ReplicaHealth:
    return ReplicaHealth(HealthLimits(forward_hang_s=60, forward_lost_s=300, golden_s=10), clock or Clock())


def test_a_replica_that_answers_is_not_suspected() -> None:
    replica = health()
    replica.study_answered()
    assert replica.suspicion is None
    assert replica.reason is None


def test_a_failed_study_is_a_suspicion_and_a_golden_answer_clears_it() -> None:
    replica = health()
    assert replica.study_failed()
    assert replica.suspicion == "a forward failed"
    replica.golden_begun()
    assert not replica.golden_answered()
    assert replica.suspicion is None
    assert replica.reason is None
    assert replica.studies_at_fault == 1


def test_only_the_first_failure_since_an_answer_is_a_study_that_may_have_broken_the_device() -> None:
    replica = health()
    assert replica.study_failed()
    assert not replica.study_failed()
    replica.study_answered()
    assert replica.study_failed()


def test_a_golden_input_that_is_not_answered_ends_the_replica() -> None:
    replica = health()
    replica.study_failed()
    replica.golden_begun()
    replica.golden_failed("the golden input is answered differently")
    assert replica.reason == "the golden input is answered differently"
    assert replica.suspicion is None


def test_a_failure_after_the_golden_input_began_keeps_the_suspicion() -> None:
    replica = health()
    replica.study_failed()
    replica.golden_begun()
    replica.study_failed()
    replica.golden_answered()
    assert replica.suspicion == "a forward failed"
    assert replica.studies_at_fault == 1


def test_a_forward_that_runs_long_is_suspected_once() -> None:
    clock = Clock()
    replica = health(clock)
    replica.forward_begun(is_live=True)
    clock.now += 60
    assert replica.suspicion is None
    clock.now += 1
    assert replica.suspicion == "a forward runs long"
    replica.golden_begun()
    assert replica.golden_answered(), "the others need not wait for it"
    assert replica.suspicion is None
    assert replica.reason is None


def test_a_forward_that_ended_in_time_is_never_suspected() -> None:
    clock = Clock()
    replica = health(clock)
    forward = replica.forward_begun(is_live=True)
    replica.forward_ended(forward)
    clock.now += 1000
    assert replica.suspicion is None
    assert replica.reason is None


def test_a_second_forward_that_runs_long_beside_the_first_ends_the_replica() -> None:
    clock = Clock()
    replica = health(clock)
    for _ in range(2):
        replica.forward_begun(is_live=True)
        clock.now += 61
        replica.golden_begun()
        replica.golden_answered()
    assert replica.reason == "a second forward runs long beside the first"


def test_a_live_forward_for_which_nobody_waits_any_more_ends_the_replica() -> None:
    clock = Clock()
    replica = health(clock)
    replica.forward_begun(is_live=True)
    clock.now += 301
    assert replica.reason == "a forward has not ended within 300 s"


def test_a_shadows_forward_on_idle_cores_may_take_any_time_if_the_golden_input_is_answered() -> None:
    clock = Clock()
    replica = health(clock)
    replica.forward_begun(is_live=False)
    clock.now += 100
    assert replica.suspicion == "a forward runs long"
    replica.golden_begun()
    assert not replica.golden_answered(), "no live study waits behind it"
    clock.now += 1000
    assert replica.suspicion is None
    assert replica.reason is None


@pytest.mark.parametrize(("hang", "lost", "golden"), [(0, 300, 10), (301, 300, 10), (60, 300, 0)])
def test_limits_that_contradict_each_other_are_an_error(hang: float, lost: float, golden: float) -> None:
    with pytest.raises(ValueError, match="suspected before"):
        HealthLimits(hang, lost, golden)
