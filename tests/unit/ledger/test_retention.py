"""What is purged, and what stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import JobNotFound, SerinusError
from core.study import StudyRef
from ledger import Delivery, JobRequest, JobState, KeptFor, Ledger, StudyUse, retention
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.ledger.routed import decided, pending, read_study
from tests.unit.ledger.studies import claim_one, complete, submit

DAY = timedelta(days=1)
A_DAY_ALL = KeptFor(DAY, DAY, DAY)


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


def purge_two_days_later(ledger: Ledger, kept_for: KeptFor = A_DAY_ALL) -> dict[str, int]:
    """What is deleted; what would be is told before, and nothing is left to delete after."""
    set_time(ledger, NOON + 2 * DAY)
    told = ledger.retention.due(kept_for)
    deleted = dict(ledger.retention.purge(kept_for, actor="alice"))
    assert told == deleted
    assert not any(ledger.retention.due(kept_for).values())
    return {name: number for name, number in deleted.items() if number}


def test_an_old_job_goes_with_its_documents_and_its_key(ledger: Ledger) -> None:
    old = finished(ledger, "k")
    assert purge_two_days_later(ledger, KeptFor(None, DAY, None)) == {"jobs": 1}
    for look in (lambda: ledger.jobs.get(old), lambda: ledger.jobs.document(old, "sr")):
        with pytest.raises(JobNotFound):
            look()
    request = JobRequest(StudyRef("pacs", "9.9.9"))
    assert not ledger.jobs.submit(request, idempotency_key="k", tenant="ris").replayed


def test_documents_go_before_their_job(ledger: Ledger) -> None:
    job = finished(ledger, "k")
    assert purge_two_days_later(ledger, KeptFor(DAY, None, None)) == {"documents": 1}
    assert ledger.jobs.get(job).state is JobState.COMPLETED
    with pytest.raises(SerinusError):
        ledger.jobs.document(job, "sr")


def test_evidence_has_a_time_of_its_own(ledger: Ledger) -> None:
    job = read_study(ledger, [decided()])
    assert "evidence" not in purge_two_days_later(ledger, KeptFor(DAY, DAY, None))
    assert ledger.decisions.of_job(job)
    assert purge_two_days_later(ledger, KeptFor(None, None, DAY)) == {"evidence": 2}
    assert not ledger.decisions.of_job(job)


def test_what_is_kept_for_ever_stays(ledger: Ledger) -> None:
    finished(ledger, "k")
    assert purge_two_days_later(ledger, KeptFor(None, None, None)) == {}


def test_a_job_that_finished_later_or_not_yet_stays(ledger: Ledger) -> None:
    old = finished(ledger, "k")
    set_time(ledger, NOON + 1.5 * DAY)
    later = finished(ledger, "l")
    waiting = submit(ledger, "1.2.4", NOON + 1.5 * DAY)
    assert purge_two_days_later(ledger, KeptFor(None, DAY, None)) == {"jobs": 1}
    assert {job.id for job in ledger.jobs.list_jobs()[0]} == {later, waiting.id}
    assert old not in (later, waiting.id)


def test_what_is_still_to_be_delivered_stays_however_old_it_is(ledger: Ledger) -> None:
    canceled = submit(ledger, callback="https://ris.example/hook")
    ledger.jobs.cancel(canceled.id)  # its caller is still to be told
    submit(ledger, "1.2.4")
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    assert purge_two_days_later(ledger) == {}
    assert ledger.jobs.get(canceled.id).state is JobState.CANCELED


def test_a_pending_shadow_stays(ledger: Ledger) -> None:
    read_study(ledger, [decided()], [pending()])
    purge_two_days_later(ledger, KeptFor(DAY, DAY, None))
    assert len(ledger.shadows.claim("w", 10, 5)) == 1


def test_many_old_jobs_all_go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_SIZE", 2)
    for number in range(5):
        finished(ledger, f"k{number}")
    assert purge_two_days_later(ledger) == {"documents": 5, "jobs": 5}


def test_what_is_deleted_is_counted_in_the_audit_which_is_not_purged(ledger: Ledger) -> None:
    finished(ledger, "k")
    before = len(ledger.audit.rows())
    purge_two_days_later(ledger)
    told = [(row.actor, row.action, row.detail) for row in ledger.audit.rows(limit=2)]
    assert told == [
        ("alice", "purge", {"class": "jobs", "rows": 1}),
        ("alice", "purge", {"class": "documents", "rows": 1}),
    ]
    assert (len(ledger.audit.rows()), ledger.audit.first_broken()) == (before + 2, None)


def test_a_study_is_in_use_until_all_of_it_is_read_and_delivered(ledger: Ledger) -> None:
    assert ledger.retention.use_of("pacs", "1.2.3") is StudyUse.UNKNOWN
    submit(ledger, "1.2.3")
    assert ledger.retention.use_of("pacs", "1.2.3") is StudyUse.IN_USE
    complete(ledger, claim_one(ledger), Delivery("stow", "pacs", "sr"))
    assert ledger.retention.use_of("pacs", "1.2.3") is StudyUse.IN_USE
    (delivery,) = ledger.outbox.claim_deliveries("a", 10, 1)
    ledger.outbox.delivered(delivery.id)
    assert ledger.retention.use_of("pacs", "1.2.3") is StudyUse.READ
    assert ledger.retention.use_of("inbox", "1.2.3") is StudyUse.UNKNOWN


def test_a_study_that_a_shadow_has_still_to_read_is_in_use(ledger: Ledger) -> None:
    read_study(ledger, [decided()], [pending()])
    assert ledger.retention.use_of("pacs", "1.2.840.99") is StudyUse.IN_USE


def test_a_study_whose_last_job_failed_is_told_from_one_that_was_read(ledger: Ledger) -> None:
    read_study(ledger, [decided()])
    job = submit(ledger, "1.2.840.99", NOON + timedelta(seconds=1))
    ledger.jobs.cancel(job.id)
    assert ledger.retention.use_of("pacs", "1.2.840.99") is StudyUse.FAILED
