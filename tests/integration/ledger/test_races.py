"""Two at the same time: the one who comes second finds what the first one made of it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from core.errors import JobNotCancelable
from core.study import StudyRef
from ledger import Job, JobRequest, JobState, Ledger, Priority
from ledger.tables import jobs
from tests.unit.ledger.conftest import Clock
from tests.unit.ledger.routed import claim_due

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
QUIET_S = 5.0
LATER = NOON + timedelta(seconds=60)
LEASE_S = 10.0


@pytest.fixture
def either(either_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(either_url, clock=Clock())
    yield opened
    opened.close()


def arrive(ledger: Ledger, uri: str) -> Job:
    return ledger.jobs.submit_object(
        StudyRef("s3", "1.2.3"),
        uri,
        model="ich",
        priority=Priority.URGENT,
        inference_type="triage",
        tenant="ris",
        stable_age_s=QUIET_S,
    ).job


@contextmanager
def changed_by_another(ledger: Ledger, job_id: str, values: dict[str, object]) -> Iterator[None]:
    """Inside, another transaction has changed the job already and commits a moment later."""
    changed = threading.Event()

    def change() -> None:
        with ledger.database.write() as connection:
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))
            changed.set()
            time.sleep(0.3)

    other = threading.Thread(target=change)
    other.start()
    changed.wait(5)
    yield
    other.join()


def all_at_once(work: Callable[[int], None], number: int) -> None:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_object_that_comes_while_its_job_is_being_claimed_is_read_by_a_follow_up(either: Ledger) -> None:
    first = arrive(either, "s3://in/1")
    running = {
        "state": JobState.RUNNING,
        "token": "t",
        "worker": "w",
        "lease_until": LATER,
        "takeover_at": LATER,
    }
    with changed_by_another(either, first.id, running):
        late = arrive(either, "s3://in/2")
    assert late.id != first.id
    assert late.study.inputs == ("s3://in/1", "s3://in/2")
    assert either.jobs.get(first.id).study.inputs == ("s3://in/1",)


def test_a_job_that_is_completed_while_it_is_being_cancelled_stays_completed(either: Ledger) -> None:
    job = either.jobs.submit(JobRequest(StudyRef("pacs", "1.2.3")), idempotency_key=None, tenant="ris").job
    with (
        changed_by_another(either, job.id, {"state": JobState.COMPLETED, "finished_at": NOON}),
        pytest.raises(JobNotCancelable),
    ):
        either.jobs.cancel(job.id)
    assert either.jobs.get(job.id).state is JobState.COMPLETED


def test_calls_for_one_study_at_once_are_one_job_with_every_object(either: Ledger) -> None:
    all_at_once(lambda index: _arrive_some(either, index), 4)
    (job,), _ = either.jobs.list_jobs()
    assert sorted(job.study.inputs) == sorted(
        f"s3://in/{index}/{number}" for index in range(4) for number in range(10)
    )


def test_the_same_object_pushed_by_many_at_once_is_one_job_with_one_object(either: Ledger) -> None:
    pushed: list[str] = []
    all_at_once(lambda _: pushed.append(arrive(either, "1.2.3.4").id), 8)
    assert (len(pushed), len(set(pushed)), either.jobs.open_jobs()) == (8, 1, 1)
    assert either.jobs.get(pushed[0]).study.inputs == ("1.2.3.4",)


def test_one_job_that_many_claim_at_once_is_in_one_hand(either: Ledger) -> None:
    request = JobRequest(StudyRef("pacs", "1.2.3"))
    job = either.jobs.submit(request, idempotency_key=None, tenant="ris").job
    claimed: list[object] = []
    all_at_once(lambda index: claimed.append(either.leases.claim(job.id, f"w{index}", LEASE_S)), 8)
    assert len([each for each in claimed if each is not None]) == 1


def _arrive_some(ledger: Ledger, index: int) -> None:
    for number in range(10):
        arrive(ledger, f"s3://in/{index}/{number}")


def test_one_idempotency_key_at_once_is_one_job(either: Ledger) -> None:
    found: list[str] = []

    def submit(_: int) -> None:
        request = JobRequest(StudyRef("pacs", "1.2.3"))
        found.append(either.jobs.submit(request, idempotency_key="k", tenant="ris").job.id)

    all_at_once(submit, 8)
    assert (len(found), len(set(found)), either.jobs.open_jobs()) == (8, 1, 1)


def test_workers_that_claim_at_once_share_the_jobs_and_none_twice(either: Ledger) -> None:
    made = {
        either.jobs.submit(JobRequest(StudyRef("pacs", f"1.{n}")), idempotency_key=None, tenant="ris").job.id
        for n in range(40)
    }
    claimed: list[str] = []

    def work(index: int) -> None:
        while some := claim_due(either, 3, f"w{index}", LEASE_S):
            claimed.extend(each.job.id for each in some)

    all_at_once(work, 6)
    left = claim_due(either, 40, "last", LEASE_S)  # those skipped while locked
    assert sorted([*claimed, *(each.job.id for each in left)]) == sorted(made)


def test_the_audit_chain_holds_when_many_write_to_it(either: Ledger) -> None:
    all_at_once(lambda n: _append_some(either, n), 6)
    assert either.audit.first_broken() is None
    assert len(either.audit.rows()) == 60


def _append_some(ledger: Ledger, index: int) -> None:
    for number in range(10):
        ledger.audit.append(f"actor {index}", "set-alias", "ich", {"number": number})


def test_many_processes_may_open_a_new_ledger_at_once(either_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(6) as pool:
        opened = pool.map(_open, [either_url] * 12)
    assert opened == [0] * 12


def _open(url: str) -> int:
    ledger = Ledger.open(url)
    try:
        return ledger.jobs.open_jobs()
    finally:
        ledger.close()
