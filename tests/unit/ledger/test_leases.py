"""Who runs a job, for how long, and what a death, a stall or a failure costs it."""

from __future__ import annotations

from datetime import datetime

import pytest

from ledger import JobState, LeaseLost, Ledger, Priority
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.studies import claim, claim_one, complete, submit


def test_a_stat_study_overtakes_all_that_has_not_begun_and_a_batch_study_waits_for_its_delay(
    ledger: Ledger,
) -> None:
    batch = submit(ledger, "1", priority=Priority.BATCH)
    routine = submit(ledger, "2", after(2900))
    late = submit(ledger, "3", after(3100))
    stat = submit(ledger, "4", after(9000), priority=Priority.STAT)
    claimed = claim(ledger, after(9000))
    assert [running.job.id for running in claimed] == [stat.id, routine.id, batch.id, late.id]


def test_a_job_is_in_one_hand_only(ledger: Ledger) -> None:
    submit(ledger)
    assert len(claim(ledger, NOON, 9, "a")) == 1
    assert claim(ledger, after(9), 9, "b") == []


def test_a_dead_workers_job_goes_to_another_and_the_dead_one_is_fenced(ledger: Ledger) -> None:
    submit(ledger)
    dead = claim_one(ledger)
    (again,) = claim(ledger, after(11), 1, "b")
    assert (again.job.attempt, again.job.losses) == (1, 1)
    for late in (
        lambda: complete(ledger, dead),
        lambda: ledger.leases.stage(dead, "fetch"),
        lambda: ledger.leases.fail(dead, "model-error", "x"),
    ):
        with pytest.raises(LeaseLost):
            late()
    complete(ledger, again.token)
    assert ledger.jobs.get(again.job.id).state is JobState.COMPLETED


def test_a_renewed_lease_is_not_lost(ledger: Ledger) -> None:
    submit(ledger)
    token = claim_one(ledger)
    set_time(ledger, after(9))
    assert ledger.leases.renew([token, "stale"], 10) == {"stale"}
    assert claim(ledger, after(15), 1, "b") == []


def test_a_study_that_kills_its_workers_again_and_again_is_given_up_after_growing_pauses(
    ledger: Ledger,
) -> None:
    job = submit(ledger)
    at, pauses_s = 0.0, []
    while claim(ledger, after(at), 1):
        lapsed = at + 10
        at = lapsed
        set_time(ledger, after(at))
        while ledger.jobs.get(job.id).state is JobState.RUNNING and not ledger.leases.due(1):
            at += 0.5
            set_time(ledger, after(at))
        pauses_s.append(at - lapsed)
    assert pauses_s == [0.0, 1.0, 2.0]
    ended = ledger.jobs.get(job.id)
    assert (ended.state, ended.error_code, ended.losses) == (JobState.FAILED, "worker-lost", 3)


def test_a_failure_that_may_pass_is_tried_again_not_before_its_time(ledger: Ledger) -> None:
    submit(ledger)
    ledger.leases.retry(claim_one(ledger), "source-timeout", "slow", at=after(30), counts=True)
    assert claim(ledger, after(29), 1, "a") == []
    assert len(claim(ledger, after(31), 1, "a")) == 1


def running(ledger: Ledger, at: datetime) -> bool:
    set_time(ledger, at)
    return ledger.jobs.any_running()


def test_a_job_in_anybodys_hands_is_seen_by_all_until_its_lease_runs_out(ledger: Ledger) -> None:
    submit(ledger)
    assert not running(ledger, NOON)
    token = claim_one(ledger, lease_s=10)
    assert running(ledger, after(9))
    assert not running(ledger, after(11))
    complete(ledger, token)
    assert not running(ledger, after(6))
