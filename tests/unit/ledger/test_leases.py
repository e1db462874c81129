"""Who runs a job, for how long, and what a death, a stall or a failure costs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.retry import FailureClass
from ledger import Delivery, JobState, LeaseLost, Ledger, Priority
from tests.unit.ledger.conftest import NOON, after, set_time
from tests.unit.ledger.routed import decided
from tests.unit.ledger.studies import arrive, carry, claim, claim_one, complete, due, submit


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


def test_who_asked_for_a_callback_hears_of_a_study_that_was_given_up_with_its_workers(ledger: Ledger) -> None:
    job = submit(ledger, callback="https://ris.example/jobs")
    for lapse in range(4):
        claim(ledger, after(100.0 * lapse), 1)
    assert ledger.jobs.get(job.id).error_code == "worker-lost"
    (delivery,) = carry(ledger, after(400))
    assert delivery.destination == "https://ris.example/jobs"
    assert delivery.payload is not None
    assert delivery.payload["state"] == "failed"
    assert delivery.payload["error"]["code"] == "worker-lost"


def test_the_jobs_of_a_worker_that_is_gone_are_due_at_once_and_cost_no_attempt(ledger: Ledger) -> None:
    job, other = submit(ledger, "1.2.3"), submit(ledger, "1.2.4")
    lost = ledger.leases.claim(job.id, "gone", 15)
    assert ledger.leases.claim(other.id, "alive", 15) is not None
    assert ledger.leases.holders() == {"gone", "alive"}
    assert ledger.leases.end_leases_of("gone") == 1
    assert due(ledger) == [job.id]
    again = ledger.leases.claim(job.id, "alive", 15)
    assert again is not None
    assert (again.job.attempt, again.job.losses) == (1, 1)
    assert lost is not None
    with pytest.raises(LeaseLost):
        ledger.leases.stage(lost.token, "fetch")


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


def test_a_study_that_was_read_while_the_database_stalled_is_finished_once(ledger: Ledger) -> None:
    """Longer than the lease: nobody else has taken it, so its token is still good and it cost nothing."""
    job = submit(ledger)
    token = claim_one(ledger)
    set_time(ledger, after(60))
    assert due(ledger) == [job.id], "recovery might take it now"
    complete(ledger, token)
    ended = ledger.jobs.get(job.id)
    assert (ended.state, ended.attempt, ended.losses) == (JobState.COMPLETED, 1, 0)
    assert due(ledger) == []
    with pytest.raises(LeaseLost):
        complete(ledger, token)


def test_a_lease_that_ran_out_is_good_again_when_it_is_renewed_in_time(ledger: Ledger) -> None:
    job = submit(ledger)
    token = claim_one(ledger)
    set_time(ledger, after(60))
    assert ledger.leases.renew([token], 10) == frozenset()
    assert due(ledger) == []
    assert ledger.leases.claim(job.id, "b", 10) is None


def test_one_job_is_claimed_by_its_id_and_only_when_its_time_has_come(ledger: Ledger) -> None:
    first, second = submit(ledger, "1"), submit(ledger, "2")
    claimed = ledger.leases.claim(second.id, "a", 10)
    assert claimed is not None
    assert (claimed.job.id, claimed.job.state) == (second.id, JobState.RUNNING)
    assert ledger.leases.claim(second.id, "b", 10) is None
    ledger.leases.retry(claimed.token, "source-timeout", "slow", at=after(30), counts=True)
    assert ledger.leases.claim(second.id, "b", 10) is None
    assert ledger.leases.claim("nope", "b", 10) is None
    assert ledger.jobs.get(first.id).state is JobState.QUEUED


def test_a_new_job_is_left_to_the_worker_that_was_called_for_a_while(ledger: Ledger) -> None:
    job = submit(ledger)
    set_time(ledger, after(4.9))
    assert due(ledger) == []
    set_time(ledger, after(5))
    assert due(ledger) == [job.id]


def test_what_nobody_was_called_for_is_due_at_once_in_its_order(ledger: Ledger) -> None:
    routine = submit(ledger, "1")
    ledger.leases.release(claim_one(ledger))
    stat = submit(ledger, "2", priority=Priority.STAT)
    stable = arrive(ledger, "s3://in/1")
    ledger.jobs.complete_study("1.2.3", "ris")
    ledger.leases.retry(one(ledger, stat.id), "source-timeout", "slow", at=after(1), counts=True)
    set_time(ledger, after(1))
    assert due(ledger) == [stat.id, stable.id, routine.id]
    assert due(ledger, 1) == [stat.id]


def test_the_jobs_of_a_busy_source_do_not_hide_those_of_another(ledger: Ledger) -> None:
    hung = [submit(ledger, f"1.{number}") for number in range(3)]
    other = submit(ledger, "2", source="other")
    set_time(ledger, after(5))
    assert due(ledger, 3) == [job.id for job in hung]
    (found,) = ledger.leases.due(3, busy_sources={"pacs"})
    assert (found.id, found.place) == (other.id, other.place)


def one(ledger: Ledger, job_id: str) -> str:
    """Claim that job; its token."""
    claimed = ledger.leases.claim(job_id, "a", 10)
    assert claimed is not None
    return claimed.token


def test_a_job_that_is_handed_back_was_no_attempt(ledger: Ledger) -> None:
    job = submit(ledger)
    for _ in range(30):  # more often than anything may be attempted or lost
        ledger.leases.release(one(ledger, job.id))
    back = ledger.jobs.get(job.id)
    assert (back.state, back.attempt, back.losses, back.error_code) == (JobState.QUEUED, 0, 0, None)


def test_many_kills_cost_an_innocent_job_no_attempt(ledger: Ledger) -> None:
    job = submit(ledger)
    for kill in range(2):
        claim_one(ledger, after(kill * 60))
    (again,) = claim(ledger, after(600))
    assert (again.job.attempt, again.job.losses, again.job.behind.failed) == (1, 2, 0)
    complete(ledger, again.token)
    assert ledger.jobs.get(job.id).state is JobState.COMPLETED


def test_a_loss_that_its_worker_told_of_counts_like_a_lease_that_ran_out(ledger: Ledger) -> None:
    submit(ledger)
    ledger.leases.retry(claim_one(ledger), "worker-lost", "out of memory", at=NOON, counts=False)
    (again,) = claim(ledger)
    assert (again.job.attempt, again.job.losses) == (1, 1)


@pytest.mark.parametrize(("counts", "attempt"), [(True, 2), (False, 1)], ids=["an attempt", "a wait"])
def test_a_wait_for_a_model_is_no_attempt(ledger: Ledger, counts: bool, attempt: int) -> None:
    submit(ledger)
    ledger.leases.retry(claim_one(ledger), "model-unavailable", "not warm", at=NOON, counts=counts)
    (again,) = claim(ledger)
    assert again.job.attempt == attempt
    assert again.job.behind.failed == attempt - 1


def test_the_last_error_is_visible_while_the_job_is_queued_again_and_gone_when_it_is_read(
    ledger: Ledger,
) -> None:
    job = submit(ledger)
    ledger.leases.retry(claim_one(ledger), "source-timeout", "too slow", at=after(5), counts=True)
    queued = ledger.jobs.get(job.id)
    assert (queued.state, queued.error_code, queued.error_detail) == (
        JobState.QUEUED,
        "source-timeout",
        "too slow",
    )
    complete(ledger, claim_one(ledger, after(5)))
    ended = ledger.jobs.get(job.id)
    assert (ended.error_code, ended.failing_since) == (None, None)


def test_failures_of_one_kind_in_a_row_are_dated_from_their_first(ledger: Ledger) -> None:
    job = submit(ledger)
    seen = []
    for at, kind in enumerate(
        (FailureClass.SOURCE_AWAY, FailureClass.SOURCE_AWAY, FailureClass.MODEL_AWAY, None)
    ):
        token = claim_one(ledger, after(at))
        ledger.leases.retry(token, "x", "why", at=after(at + 1), counts=True, kind=kind)
        seen.append(ledger.jobs.get(job.id).failing_since)
    assert seen == [after(0), after(0), after(2), after(2)]


def test_a_failed_job_is_told_of_and_has_its_decisions(ledger: Ledger) -> None:
    job = submit(ledger)
    row = replace(decided(role="failed"), outcome="model-error")
    told = Delivery("callback", "https://ris/jobs", payload={"state": "failed"})
    ledger.leases.fail(
        claim_one(ledger), "model-error", "why", decisions=[row], deliveries_to_make=[told], study_key="st"
    )
    assert ledger.jobs.get(job.id).state is JobState.FAILED
    assert [stored.row.outcome for stored in ledger.decisions.of_job(job.id)] == ["model-error"]
    (delivery,) = carry(ledger)
    ledger.outbox.delivered(delivery.id, 0.1)
    assert ledger.jobs.get(job.id).state is JobState.FAILED


def test_a_failure_that_is_retried_has_its_decisions_too(ledger: Ledger) -> None:
    job = submit(ledger)
    row = replace(decided(role="failed"), outcome="model-error")
    ledger.leases.retry(claim_one(ledger), "model-error", "x", at=NOON, counts=True, decisions=[row])
    assert len(ledger.decisions.of_job(job.id)) == 1


@pytest.mark.parametrize(
    "say",
    [
        lambda ledger, token: ledger.leases.release(token),
        lambda ledger, token: ledger.leases.fail(token, "x", "y", decisions=[decided()]),
        lambda ledger, token: ledger.leases.retry(
            token, "x", "y", at=NOON, counts=True, decisions=[decided()]
        ),
    ],
    ids=["release", "fail", "retry"],
)
def test_a_worker_that_lost_its_job_writes_nothing(
    ledger: Ledger, say: Callable[[Ledger, str], None]
) -> None:
    job = submit(ledger)
    lost = claim_one(ledger)
    claim_one(ledger, after(60))
    before = ledger.jobs.get(job.id)
    with pytest.raises(LeaseLost):
        say(ledger, lost)
    assert (ledger.jobs.get(job.id), ledger.decisions.of_job(job.id)) == (before, ())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from(Priority), st.integers(0, 8000)), min_size=2, max_size=8, unique=True
    )
)
def test_jobs_are_due_in_the_order_that_every_queue_has(
    ledger: Ledger, arrivals: list[tuple[Priority, int]]
) -> None:
    for job_id in due(ledger, 99, unclaimed_s=0):
        ledger.jobs.cancel(job_id)
    made = [submit(ledger, "1", after(second), priority=priority) for priority, second in arrivals]
    set_time(ledger, after(9000))
    jobs = [ledger.jobs.get(job_id) for job_id in due(ledger, 99, unclaimed_s=0)]
    assert len(jobs) == len(made)
    assert [job.order for job in jobs] == sorted(job.order for job in made)


def test_what_has_failed_with_an_error_of_late_is_counted_and_named(ledger: Ledger) -> None:
    made = [submit(ledger, study).study for study in ("1", "2")]
    for _ in made:
        ledger.leases.fail(claim_one(ledger), "poison-study", "two processes ended")
    assert ledger.failures.number("poison-study", timedelta(hours=1)) == 2
    assert sorted(ledger.failures.studies("poison-study", timedelta(hours=1)), key=str) == made
    assert ledger.failures.number("model-error", timedelta(hours=1)) == 0
    set_time(ledger, after(3601))
    assert ledger.failures.number("poison-study", timedelta(hours=1)) == 0
    assert ledger.failures.studies("poison-study", timedelta(hours=1)) == ()
