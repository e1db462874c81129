"""What waits for the disk and what need not: SQLite in WAL mode syncs with a commit all commits before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from core.study import StudyRef
from ledger import Delivery, JobRequest, JobState, Ledger
from tests.unit.ledger.conftest import after
from tests.unit.ledger.studies import claim_one, complete, submit

FULL, NORMAL = 2, 1
REQUEST = JobRequest(StudyRef("pacs", "1.2.3"))


@pytest.fixture
def committed(ledger: Ledger, ledger_url: str) -> Callable[[Callable[[], object]], list[int]]:
    """With which level of PRAGMA synchronous something writes to the log; the file shows that it does."""
    levels: list[int] = []
    log = Path(ledger_url.removeprefix("sqlite:///") + "-wal")

    @event.listens_for(ledger.database.engine, "commit")
    def note(connection: Connection) -> None:
        levels.append(int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0))

    def run(act: Callable[[], object]) -> list[int]:
        levels.clear()
        before = log.stat().st_size
        act()
        assert log.stat().st_size > before
        return list(levels)

    return run


def test_an_accepted_job_waits_for_the_disk(ledger: Ledger, committed) -> None:
    assert committed(lambda: ledger.jobs.submit(REQUEST, idempotency_key=None, tenant="ris")) == [FULL]


def test_a_job_whose_caller_is_told_later_waits_for_the_disk_later(ledger: Ledger, committed) -> None:
    submitted = ledger.jobs.submit(REQUEST, idempotency_key="k", tenant="ris", durable=False)
    for key in ("another", None):
        written = committed(
            lambda k=key: ledger.jobs.submit(REQUEST, idempotency_key=k, tenant="ris", durable=False)
        )
        assert written == [NORMAL]
    assert committed(lambda: ledger.jobs.secure(submitted.job.id)) == [FULL]
    assert ledger.jobs.get(submitted.job.id) == submitted.job


def test_a_result_waits_for_the_disk_and_its_arrival_does_not(ledger: Ledger, committed) -> None:
    job = submit(ledger)
    token = claim_one(ledger, after(0))
    assert committed(lambda: complete(ledger, token, Delivery("stow", "pacs", "sr"))) == [FULL]
    (delivery,) = ledger.outbox.claim_of_job(job.id, "outbox", 60.0)
    assert committed(lambda: ledger.outbox.delivered(delivery.id)) == [NORMAL]
    assert ledger.jobs.get(job.id).state is JobState.COMPLETED


def test_who_joins_a_job_that_did_not_wait_for_the_disk_waits_for_it(ledger: Ledger, committed) -> None:
    ledger.jobs.submit(REQUEST, idempotency_key="k", tenant="ris", durable=False)
    for key in ("k", None):
        joined = committed(
            lambda k=key: ledger.jobs.submit(REQUEST, idempotency_key=k, tenant="ris", join=True)
        )
        assert joined == [FULL]
    assert len(ledger.jobs.list_jobs()[0]) == 1
