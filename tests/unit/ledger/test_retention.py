"""What is purged, and what stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import JobNotFound
from core.study import StudyRef
from ledger import Delivery, JobRequest, JobState, Ledger, retention
from tests.unit.ledger.conftest import NOON

DAY = timedelta(days=1)


def finished(ledger: Ledger, key: str) -> str:
    """A job that was read at noon and whose delivery became a dead letter then."""
    job = ledger.jobs.submit(JobRequest(StudyRef("pacs", "1.2.3")), idempotency_key=key, tenant="ris").job
    claimed = ledger.leases.claim(job.id, "a", 10)
    assert claimed is not None
    ledger.leases.complete(
        claimed.token,
        result={},
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={},
        model="ich",
    )
    (delivery,) = ledger.outbox.claim_deliveries("a", 10, 1)
    ledger.outbox.delivery_failed(delivery.id, "a", "result-store-rejected", retry_at=None)
    return job.id


def test_an_old_job_goes_with_its_documents_and_its_key(ledger: Ledger) -> None:
    old = finished(ledger, "k")
    assert ledger.retention.purge(NOON + DAY) == 1
    for look in (lambda: ledger.jobs.get(old), lambda: ledger.jobs.document(old, "sr")):
        with pytest.raises(JobNotFound):
            look()
    request = JobRequest(StudyRef("pacs", "9.9.9"))
    assert not ledger.jobs.submit(request, idempotency_key="k", tenant="ris").replayed


def test_a_job_that_finished_later_or_not_yet_stays(ledger: Ledger) -> None:
    kept = finished(ledger, "k")
    waiting = ledger.jobs.submit(JobRequest(StudyRef("pacs", "1")), idempotency_key=None, tenant="ris").job
    assert ledger.retention.purge(NOON) == 0
    assert ledger.retention.purge(NOON + DAY) == 1
    assert kept not in [job.id for job in ledger.jobs.list_jobs()[0]]
    assert ledger.jobs.get(waiting.id).state is JobState.QUEUED


def test_many_old_jobs_all_go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    for number in range(5):
        finished(ledger, f"k{number}")
    assert ledger.retention.purge(NOON + DAY) == 5


def test_the_audit_chain_is_not_purged(ledger: Ledger) -> None:
    ledger.audit.append("alice", "purge", "ledger", {})
    ledger.retention.purge(NOON + DAY)
    assert len(ledger.audit.rows()) == 1
