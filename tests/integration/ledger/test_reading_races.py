"""Many jobs of one study at the same time: one of them reads, and the others get its result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from canary.same_reading import Turn
from core.study import StudyRef
from ledger import JobRequest, Ledger

REQUEST = JobRequest(StudyRef("pacs", "1.2.840.99"))
JOBS = 8


@pytest.fixture
def either(either_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(either_url)
    yield opened
    opened.close()


def claimed(ledger: Ledger, number: int) -> tuple[str, str]:
    job = ledger.jobs.submit(REQUEST, idempotency_key=None, tenant="ris").job
    taken = ledger.leases.claim(job.id, f"worker-{number}", 30)
    assert taken is not None
    return job.id, taken.token


def run(ledger: Ledger, job_id: str, token: str) -> tuple[Turn, str]:
    """As a worker does; the reading takes a moment."""
    while (taken := ledger.readings.take_turn(token, "key")).turn is Turn.WAIT:
        time.sleep(0.02)
    if taken.turn is Turn.SAME:
        ledger.leases.complete_as(
            token, taken.job_id, result={}, deliveries_to_make=(), stages_s={}, model="ich"
        )
        return Turn.SAME, taken.job_id
    time.sleep(0.2)
    ledger.leases.complete(
        token, result={}, documents_by_kind={}, deliveries_to_make=(), stages_s={}, model="ich"
    )
    return Turn.READ, job_id


def test_of_many_jobs_at_once_one_reads(either: Ledger) -> None:
    jobs = [claimed(either, number) for number in range(JOBS)]
    with ThreadPoolExecutor(JOBS) as workers:
        ended = list(workers.map(lambda job: run(either, *job), jobs))
    (reader,) = [job_id for turn, job_id in ended if turn is Turn.READ]
    assert {job_id for _, job_id in ended} == {reader}
    found = {either.jobs.get(job_id).same_as for job_id, _ in jobs}
    assert found == {None, reader}


def test_the_same_request_from_many_callers_at_once_is_one_job(either: Ledger) -> None:
    def submit(_: int) -> str:
        return either.jobs.submit(REQUEST, idempotency_key=None, tenant="ris", join=True).job.id

    with ThreadPoolExecutor(JOBS) as callers:
        assert len(set(callers.map(submit, range(4 * JOBS)))) == 1
