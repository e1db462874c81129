"""What the ledger promises of jobs: accepted is written, a study is one job, a stale worker changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from core.errors import (
    IdempotencyConflict,
    InvalidField,
    JobNotCancelable,
    JobNotFound,
    ResultNotReady,
    UnknownResultVersion,
)
from core.study import StudyRef
from ledger import Delivery, FormerReports, JobRequest, JobState, LeaseLost, Ledger, Priority, WaitingJobs
from ledger.tables import UtcTime, jobs
from tests.unit.ledger.conftest import after, set_time
from tests.unit.ledger.studies import arrive, carry, claim, claim_one, complete, submit


def report(ledger: Ledger, content: bytes, at: datetime, study: str = "1.2.3", model: str = "ich") -> None:
    submit(ledger, study, at)
    ledger.leases.complete(
        claim_one(ledger, at),
        result={},
        documents_by_kind={"sr": content, "seg": b"a mask"},
        deliveries_to_make=(),
        stages_s={},
        model=model,
    )


def test_the_report_that_a_new_one_supersedes_is_the_models_newest_of_the_study(ledger: Ledger) -> None:
    assert ledger.jobs.former_reports("1.2.3", "ich", after(1)) == FormerReports()
    report(ledger, b"first", after(0))
    report(ledger, b"second", after(1))
    report(ledger, b"of another study", after(2), study="9.9")
    report(ledger, b"of another model", after(3), model="lung")
    submit(ledger, "1.2.3", after(4))  # not read yet
    newest = [ledger.jobs.former_reports("1.2.3", "ich", after(seconds)).sr for seconds in (0, 1, 2, 9)]
    assert newest == [None, b"first", b"second", b"second"]


def failure(ledger: Ledger, content: bytes, at: datetime, model: str | None = "ich") -> str:
    job = submit(ledger, "1.2.3", at, outputs=("json", "failure-sr"))
    ledger.leases.fail(
        claim_one(ledger, at),
        "model-error",
        "NaN",
        documents_by_kind={"failure-sr": content},
        deliveries_to_make=[Delivery("stow", "pacs", "failure-sr")],
        model=model,
    )
    return job.id


def test_the_sr_of_a_failure_stands_until_a_result_supersedes_it(ledger: Ledger) -> None:
    report(ledger, b"first", after(0))
    failure(ledger, b"it failed", after(1))
    failure(ledger, b"it failed again", after(2))
    report(ledger, b"second", after(3))
    asked = [ledger.jobs.former_reports("1.2.3", "ich", after(seconds)) for seconds in (1, 2, 3, 4)]
    assert asked == [
        FormerReports(b"first"),
        FormerReports(b"first", b"it failed"),
        FormerReports(b"first", b"it failed again"),
        FormerReports(b"second"),
    ]


def test_a_failed_job_whose_sr_is_delivered_stays_failed(ledger: Ledger) -> None:
    job = failure(ledger, b"it failed", after(0))
    (delivery,) = carry(ledger, after(1))
    assert delivery.document == "failure-sr"
    ledger.outbox.delivered(delivery.id)
    assert (ledger.jobs.get(job).state, ledger.jobs.get(job).model) == (JobState.FAILED, "ich")
    assert ledger.jobs.document(job, "failure-sr") == b"it failed"


@pytest.mark.parametrize("is_running", [False, True])
def test_who_asked_to_be_called_back_hears_of_a_cancel(ledger: Ledger, is_running: bool) -> None:
    job = submit(ledger, callback="https://ris.example/jobs", context={"ward": "ED"})
    if is_running:
        claim_one(ledger)
    ledger.jobs.cancel(job.id)
    (told,) = carry(ledger)
    assert told.payload == {
        "job": job.id,
        "state": "canceled",
        "study_uid": "1.2.3",
        "context": {"ward": "ED"},
        "error": {"code": "canceled", "detail": "the job was cancelled"},
    }
    ledger.outbox.delivered(told.id)
    assert ledger.jobs.get(job.id).state is JobState.CANCELED


def test_a_cancel_that_is_refused_tells_nobody(ledger: Ledger) -> None:
    job = submit(ledger, callback="https://ris.example/jobs")
    complete(ledger, claim_one(ledger))
    with pytest.raises(JobNotCancelable):
        ledger.jobs.cancel(job.id)
    assert carry(ledger) == ()


def test_an_accepted_job_is_there_for_another_process(ledger: Ledger, ledger_url: str) -> None:
    job = submit(ledger)
    other = Ledger.open(ledger_url)
    assert other.jobs.get(job.id) == job
    other.close()


def test_the_same_key_and_body_is_the_same_job(ledger: Ledger) -> None:
    request = JobRequest(StudyRef("pacs", "1.2.3"))
    first = ledger.jobs.submit(request, idempotency_key="k", tenant="ris")
    again = ledger.jobs.submit(request, idempotency_key="k", tenant="ris")
    assert (again.job.id, first.replayed, again.replayed) == (first.job.id, False, True)


def test_the_same_key_with_another_body_is_a_conflict_and_makes_no_job(ledger: Ledger) -> None:
    ledger.jobs.submit(JobRequest(StudyRef("pacs", "1.2.3")), idempotency_key="k", tenant="ris")
    with pytest.raises(IdempotencyConflict) as conflict:
        ledger.jobs.submit(JobRequest(StudyRef("pacs", "9.9.9")), idempotency_key="k", tenant="ris")
    assert "9.9.9" not in str(conflict.value)
    assert ledger.jobs.open_jobs() == 1


def test_another_tenant_may_use_the_same_key(ledger: Ledger) -> None:
    for tenant in ("ris", "lambda"):
        ledger.jobs.submit(JobRequest(StudyRef("pacs", "1.2.3")), idempotency_key="k", tenant=tenant)
    assert ledger.jobs.open_jobs() == 2


def test_all_objects_of_a_study_are_one_job_until_it_is_quiet(ledger: Ledger) -> None:
    jobs = {arrive(ledger, f"s3://in/{number}", after(number)).id for number in range(5)}
    assert len(jobs) == 1
    assert claim(ledger, after(8.9), 1, "a") == []
    (claimed,) = claim(ledger, after(9.1), 1, "a")
    assert len(claimed.job.study.inputs) == 5


def test_an_object_that_comes_again_changes_nothing(ledger: Ledger) -> None:
    arrive(ledger, "s3://in/1")
    arrive(ledger, "s3://in/1", after(4))
    (claimed,) = claim(ledger, after(5.1), 1, "a")
    assert claimed.job.study.inputs == ("s3://in/1",)


def test_a_late_object_makes_a_job_of_all_objects_so_far(ledger: Ledger) -> None:
    first = arrive(ledger, "s3://in/1")
    claim_one(ledger, after(6))
    late = arrive(ledger, "s3://in/2", after(7))
    assert late.id != first.id
    assert late.study.inputs == ("s3://in/1", "s3://in/2")


def test_a_late_object_finds_its_study_when_the_model_was_chosen_by_us(ledger: Ledger) -> None:
    first = arrive(ledger, "i1", model="")
    complete(ledger, claim_one(ledger, after(6)))
    assert ledger.jobs.get(first.id).model == "ich"
    assert arrive(ledger, "i1", after(7), model="").id == first.id
    assert arrive(ledger, "i2", after(8), model="").study.inputs == ("i1", "i2")


def test_a_router_whose_clock_is_behind_makes_no_follow_up_of_an_old_state(ledger: Ledger) -> None:
    for uri, at in (("i1", after(0)), ("i2", after(-60)), ("i3", after(10))):
        latest = arrive(ledger, uri, at)
        claim_one(ledger, after(20))
    assert latest.study.inputs == ("i1", "i2", "i3")


def test_two_callers_do_not_share_a_job(ledger: Ledger) -> None:
    assert arrive(ledger, "s3://in/1").id != arrive(ledger, "s3://in/1", tenant="other").id


def test_a_study_declared_complete_runs_at_once(ledger: Ledger) -> None:
    job = arrive(ledger, "s3://in/1")
    assert [released.id for released in ledger.jobs.complete_study("1.2.3", "ris")] == [job.id]
    assert len(claim(ledger)) == 1
    assert ledger.jobs.complete_study("1.2.3", "ris") == ()


def test_a_cancelled_job_takes_no_result(ledger: Ledger) -> None:
    job = submit(ledger)
    token = claim_one(ledger)
    ledger.jobs.cancel(job.id)
    with pytest.raises(LeaseLost):
        complete(ledger, token)
    with pytest.raises(JobNotCancelable):
        ledger.jobs.cancel(job.id)
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


@pytest.mark.parametrize("ended", ["failed", "canceled"])
def test_a_study_whose_job_failed_is_read_again_when_it_is_sent_again(ledger: Ledger, ended: str) -> None:
    arrive(ledger, "i1")
    first = arrive(ledger, "i2")
    if ended == "failed":
        ledger.leases.fail(claim_one(ledger, after(6)), "model-error", "why")
    else:
        ledger.jobs.cancel(first.id)
    again = arrive(ledger, "i1", after(7))
    assert again.id != first.id
    assert again.study.inputs == ("i1", "i2")
    assert arrive(ledger, "i2", after(8)).id == again.id, "the new job takes the rest"
    complete(ledger, claim_one(ledger, after(30)))
    assert arrive(ledger, "i1", after(31)).id == again.id, "read is read"


def test_what_is_too_long_is_refused_by_name_and_not_by_the_database(ledger: Ledger) -> None:
    for request, pointer in (
        (JobRequest(StudyRef("pacs", "1" * 65)), "/study_uid"),
        (JobRequest(StudyRef("p" * 65, "1")), "/source"),
        (JobRequest(StudyRef("pacs", "1"), model="m" * 65), "/model"),
        (JobRequest(StudyRef("pacs", "1"), tester_variant="v" * 256), "/tester_variant"),
        (JobRequest(StudyRef("pacs", "1"), callback="https://\x00"), "/callback"),
    ):
        with pytest.raises(InvalidField) as refused:
            ledger.jobs.submit(request, idempotency_key=None, tenant="ris")
        assert refused.value.pointer == pointer
    with pytest.raises(InvalidField):
        ledger.jobs.submit(JobRequest(StudyRef("pacs", "1")), idempotency_key="k" * 201, tenant="ris")
    assert ledger.jobs.open_jobs() == 0


def test_a_result_of_a_version_that_nobody_knows_is_an_error(ledger: Ledger) -> None:
    job = submit(ledger)
    complete(ledger, claim_one(ledger))
    with ledger.database.write() as connection:
        connection.execute(sa.update(jobs).values(result_version=2))
    with pytest.raises(UnknownResultVersion):
        ledger.jobs.result(job.id)


def test_a_job_brings_back_what_its_caller_gave_along(ledger: Ledger) -> None:
    assert submit(ledger, context={"ward": "ED"}).context == {"ward": "ED"}


def test_what_waits_for_a_worker_is_told_by_priority_with_the_age_of_the_oldest(ledger: Ledger) -> None:
    nobody = WaitingJobs(0, timedelta(0))
    assert ledger.jobs.waiting() == dict.fromkeys(Priority, nobody)
    submit(ledger, "1.2.3", after(0))
    submit(ledger, "1.2.4", after(10))
    submit(ledger, "1.2.5", after(20), priority=Priority.STAT)
    arrive(ledger, "s3://in/1", after(30))
    set_time(ledger, after(34))
    assert ledger.jobs.waiting() == {
        Priority.STAT: WaitingJobs(1, timedelta(seconds=14)),
        Priority.URGENT: nobody,  # its study still arrives
        Priority.ROUTINE: WaitingJobs(2, timedelta(seconds=34)),
        Priority.BATCH: nobody,
    }
    set_time(ledger, after(36))
    assert ledger.jobs.waiting()[Priority.URGENT] == WaitingJobs(1, timedelta(seconds=6))
    claim(ledger, after(40))
    assert ledger.jobs.waiting() == dict.fromkeys(Priority, nobody)
