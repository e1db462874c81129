"""What the ledger promises of jobs: accepted is written, a study is one job, a stale worker changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from core.errors import IdempotencyConflict, JobNotCancelable, JobNotFound, ResultNotReady
from ledger import Delivery, Job, JobRequest, JobState, LeaseLost, Ledger, Priority
from ledger.tables import UtcTime, jobs
from tests.unit.ledger.conftest import NOON


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def submit(ledger: Ledger, study: str = "1.2.3", at: datetime = NOON, **more: object) -> Job:
    request = JobRequest(study, "pacs", **more)  # type: ignore[arg-type]
    return ledger.jobs.submit(request, idempotency_key=None, tenant="ris", now=at).job


def arrive(ledger: Ledger, uri: str, at: datetime = NOON, tenant: str = "ris", model: str = "ich") -> Job:
    return ledger.jobs.submit_object(
        "1.2.3",
        uri,
        source="s3",
        model=model,
        priority=Priority.URGENT,
        inference_type="triage",
        tenant=tenant,
        stable_age_s=5,
        now=at,
    ).job


def claim_one(ledger: Ledger, at: datetime = NOON, worker: str = "a", lease_s: float = 10) -> str:
    (claimed,) = ledger.leases.claim(worker, now=at, lease_s=lease_s, limit=1)
    return claimed.token


def complete(ledger: Ledger, token: str, *deliveries: Delivery, at: datetime = NOON) -> None:
    ledger.leases.complete(
        token,
        result={"score": 87},
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=deliveries,
        stages_s={"fetch": 0.5},
        model="ich",
        now=at,
    )


def test_an_accepted_job_is_there_for_another_process(ledger: Ledger, ledger_url: str) -> None:
    job = submit(ledger)
    other = Ledger.open(ledger_url)
    assert other.jobs.get(job.id) == job
    other.close()


def test_the_same_key_and_body_is_the_same_job(ledger: Ledger) -> None:
    request = JobRequest("1.2.3", "pacs")
    first = ledger.jobs.submit(request, idempotency_key="k", tenant="ris", now=NOON)
    again = ledger.jobs.submit(request, idempotency_key="k", tenant="ris", now=after(60))
    assert (again.job.id, first.replayed, again.replayed) == (first.job.id, False, True)


def test_the_same_key_with_another_body_is_a_conflict_and_makes_no_job(ledger: Ledger) -> None:
    ledger.jobs.submit(JobRequest("1.2.3", "pacs"), idempotency_key="k", tenant="ris", now=NOON)
    with pytest.raises(IdempotencyConflict) as conflict:
        ledger.jobs.submit(JobRequest("9.9.9", "pacs"), idempotency_key="k", tenant="ris", now=NOON)
    assert "9.9.9" not in str(conflict.value)
    assert ledger.jobs.open_jobs() == 1


def test_another_tenant_may_use_the_same_key(ledger: Ledger) -> None:
    for tenant in ("ris", "lambda"):
        ledger.jobs.submit(JobRequest("1.2.3", "pacs"), idempotency_key="k", tenant=tenant, now=NOON)
    assert ledger.jobs.open_jobs() == 2


def test_all_objects_of_a_study_are_one_job_until_it_is_quiet(ledger: Ledger) -> None:
    jobs = {arrive(ledger, f"s3://in/{number}", after(number)).id for number in range(5)}
    assert len(jobs) == 1
    assert ledger.leases.claim("a", now=after(8.9), lease_s=10, limit=1) == ()
    (claimed,) = ledger.leases.claim("a", now=after(9.1), lease_s=10, limit=1)
    assert len(claimed.job.inputs) == 5


def test_an_object_that_comes_again_changes_nothing(ledger: Ledger) -> None:
    arrive(ledger, "s3://in/1")
    arrive(ledger, "s3://in/1", after(4))
    (claimed,) = ledger.leases.claim("a", now=after(5.1), lease_s=10, limit=1)
    assert claimed.job.inputs == ("s3://in/1",)


def test_a_late_object_makes_a_job_of_all_objects_so_far(ledger: Ledger) -> None:
    first = arrive(ledger, "s3://in/1")
    claim_one(ledger, after(6))
    late = arrive(ledger, "s3://in/2", after(7))
    assert late.id != first.id
    assert late.inputs == ("s3://in/1", "s3://in/2")


def test_a_late_object_finds_its_study_when_the_model_was_chosen_by_us(ledger: Ledger) -> None:
    first = arrive(ledger, "i1", model="")
    complete(ledger, claim_one(ledger, after(6)))
    assert ledger.jobs.get(first.id).model == "ich"
    assert arrive(ledger, "i1", after(7), model="").id == first.id
    assert arrive(ledger, "i2", after(8), model="").inputs == ("i1", "i2")


def test_a_router_whose_clock_is_behind_makes_no_follow_up_of_an_old_state(ledger: Ledger) -> None:
    for uri, at in (("i1", after(0)), ("i2", after(-60)), ("i3", after(10))):
        latest = arrive(ledger, uri, at)
        claim_one(ledger, after(20))
    assert latest.inputs == ("i1", "i2", "i3")


def test_two_callers_do_not_share_a_job(ledger: Ledger) -> None:
    assert arrive(ledger, "s3://in/1").id != arrive(ledger, "s3://in/1", tenant="other").id


def test_a_study_declared_complete_runs_at_once(ledger: Ledger) -> None:
    arrive(ledger, "s3://in/1")
    assert ledger.jobs.complete_study("1.2.3", "ris", NOON) == 1
    assert len(ledger.leases.claim("a", now=NOON, lease_s=10, limit=1)) == 1
    assert ledger.jobs.complete_study("1.2.3", "ris", NOON) == 0


def test_a_stat_study_overtakes_and_a_batch_study_is_not_starved(ledger: Ledger) -> None:
    batch = submit(ledger, "1", priority=Priority.BATCH)
    stat = submit(ledger, "2", after(3500), priority=Priority.STAT)
    late = submit(ledger, "3", after(3700), priority=Priority.STAT)
    claimed = ledger.leases.claim("a", now=after(3800), lease_s=10, limit=3)
    assert [each.job.id for each in claimed] == [stat.id, batch.id, late.id]


def test_a_job_is_in_one_hand_only(ledger: Ledger) -> None:
    submit(ledger)
    assert len(ledger.leases.claim("a", now=NOON, lease_s=10, limit=9)) == 1
    assert ledger.leases.claim("b", now=after(9), lease_s=10, limit=9) == ()


def test_a_dead_workers_job_goes_to_another_and_the_dead_one_is_fenced(ledger: Ledger) -> None:
    submit(ledger)
    dead = claim_one(ledger)
    (again,) = ledger.leases.claim("b", now=after(11), lease_s=10, limit=1)
    assert again.job.attempt == 2
    for late in (
        lambda: complete(ledger, dead),
        lambda: ledger.leases.stage(dead, "fetch", NOON),
        lambda: ledger.leases.fail(dead, "model-error", "x", retry_at=None, now=NOON),
    ):
        with pytest.raises(LeaseLost):
            late()
    complete(ledger, again.token)
    assert ledger.jobs.get(again.job.id).state is JobState.COMPLETED


def test_a_renewed_lease_is_not_lost(ledger: Ledger) -> None:
    submit(ledger)
    token = claim_one(ledger)
    assert ledger.leases.renew("a", [token, "stale"], now=after(9), lease_s=10) == {"stale"}
    assert ledger.leases.claim("b", now=after(15), lease_s=10, limit=1) == ()


def test_a_study_that_kills_its_workers_is_given_up(ledger: Ledger) -> None:
    job = submit(ledger)
    for attempt in range(3):
        claim_one(ledger, after(attempt * 20))
    assert ledger.leases.claim("a", now=after(100), lease_s=10, limit=1) == ()
    assert ledger.jobs.get(job.id).state is JobState.FAILED


def test_a_failure_that_may_pass_is_tried_again_not_before_its_time(ledger: Ledger) -> None:
    submit(ledger)
    ledger.leases.fail(claim_one(ledger), "source-timeout", "slow", retry_at=after(30), now=NOON)
    assert ledger.leases.claim("a", now=after(29), lease_s=10, limit=1) == ()
    assert len(ledger.leases.claim("a", now=after(31), lease_s=10, limit=1)) == 1


def test_a_cancelled_job_takes_no_result(ledger: Ledger) -> None:
    job = submit(ledger)
    token = claim_one(ledger)
    ledger.jobs.cancel(job.id, NOON)
    with pytest.raises(LeaseLost):
        complete(ledger, token)
    with pytest.raises(JobNotCancelable):
        ledger.jobs.cancel(job.id, NOON)
    with pytest.raises(ResultNotReady):
        ledger.jobs.result(job.id)


def test_nobody_hears_of_an_unknown_job(ledger: Ledger) -> None:
    with pytest.raises(JobNotFound):
        ledger.jobs.get("nope")


def test_result_and_documents_are_there_with_the_completion(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger))
    assert ledger.jobs.result(job.id) == {"score": 87}
    assert ledger.jobs.document(job.id, "sr") == b"DICM"
    with pytest.raises(ResultNotReady):
        ledger.jobs.document(job.id, "seg")


def test_a_job_is_completed_when_everything_is_delivered(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(
        ledger,
        claim_one(ledger),
        Delivery("stow", "pacs", "sr"),
        Delivery("callback", "https://ris", payload={}),
    )
    first, second = ledger.outbox.claim_deliveries("a", now=NOON, lease_s=10, limit=5)
    ledger.outbox.delivered(first.id, NOON)
    assert ledger.jobs.get(job.id).state is JobState.STORING
    ledger.outbox.delivered(second.id, NOON, 0.25)
    assert ledger.jobs.get(job.id).state is JobState.COMPLETED
    assert ledger.jobs.get(job.id).stages_s == {"fetch": 0.5, "store": 0.25}


def test_a_delivery_in_hand_comes_back_when_its_bearer_dies(ledger: Ledger) -> None:
    submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (first,) = ledger.outbox.claim_deliveries("a", now=NOON, lease_s=10, limit=5)
    assert ledger.outbox.claim_deliveries("b", now=after(9), lease_s=10, limit=5) == ()
    (again,) = ledger.outbox.claim_deliveries("b", now=after(11), lease_s=10, limit=5)
    assert (again.id, again.attempt) == (first.id, 2)


def test_a_dead_letter_is_shown_and_the_result_kept(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (delivery,) = ledger.outbox.claim_deliveries("a", now=NOON, lease_s=10, limit=5)
    ledger.outbox.delivery_failed(delivery.id, "result-store-rejected", retry_at=None, now=NOON)
    shown = ledger.jobs.get(job.id)
    assert (shown.state, shown.undelivered) == (JobState.COMPLETED, ("stow of sr: result-store-rejected",))
    assert ledger.jobs.result(job.id)


def test_a_delivery_that_arrived_is_not_made_a_dead_letter_by_a_slow_bearer(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = ledger.outbox.claim_deliveries("a", now=NOON, lease_s=10, limit=5)
    (quick,) = ledger.outbox.claim_deliveries("b", now=after(11), lease_s=10, limit=5)
    ledger.outbox.delivered(quick.id, after(12))
    ledger.outbox.delivery_failed(slow.id, "result-store-rejected", retry_at=None, now=after(13))
    assert ledger.jobs.get(job.id).undelivered == ()


def test_a_delivery_that_was_given_up_and_yet_arrived_is_no_dead_letter(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    (slow,) = ledger.outbox.claim_deliveries("a", now=NOON, lease_s=10, limit=5)
    (quick,) = ledger.outbox.claim_deliveries("b", now=after(11), lease_s=10, limit=5)
    ledger.outbox.delivery_failed(quick.id, "result-store-rejected", retry_at=None, now=after(12))
    ledger.outbox.delivered(slow.id, after(13))
    assert ledger.jobs.get(job.id).undelivered == ()


def test_pages_show_every_job_once_newest_first(ledger: Ledger) -> None:
    made = [submit(ledger, at=after(number // 2)).id for number in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = ledger.jobs.list_jobs(limit=3, cursor=cursor)
        seen += [job.id for job in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(made)


def test_the_list_filters_by_what_an_orchestrator_asks(ledger: Ledger) -> None:
    submit(ledger, "1.1")
    wanted = submit(ledger, "1.2", after(5))
    assert [job.id for job in ledger.jobs.list_jobs(study_uid="1.2")[0]] == [wanted.id]
    assert [job.id for job in ledger.jobs.list_jobs(since=after(1))[0]] == [wanted.id]
    assert ledger.jobs.list_jobs(state=JobState.FAILED)[0] == ()


def test_a_representation_for_a_log_holds_no_study(ledger: Ledger) -> None:
    assert "1.2.840.99" not in repr(submit(ledger, "1.2.840.99", context={"ward": "ED"}))


def test_an_error_of_the_database_holds_no_study(ledger: Ledger) -> None:
    submit(ledger, "1.2.840.99")
    with ledger.database.read() as connection:
        row = connection.execute(sa.select(jobs)).mappings().one()
    with pytest.raises(IntegrityError) as error, ledger.database.write() as connection:
        connection.execute(sa.insert(jobs).values(**row))
    assert "1.2.840.99" not in str(error.value)


@given(at=st.datetimes(datetime(2020, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)))
def test_a_time_comes_back_as_it_was(at: datetime) -> None:
    kept = UtcTime().process_bind_param(at, None)
    assert UtcTime().process_result_value(kept, None) == at


def test_a_job_in_anybodys_hands_is_seen_by_all_until_its_lease_runs_out(ledger: Ledger) -> None:
    submit(ledger)
    assert not ledger.jobs.any_running(NOON)
    token = claim_one(ledger, lease_s=10)
    assert ledger.jobs.any_running(after(9))
    assert not ledger.jobs.any_running(after(11))
    complete(ledger, token, at=after(5))
    assert not ledger.jobs.any_running(after(6))
