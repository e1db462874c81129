"""What callers, workers and bearers do, each at a moment that the test names."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.study import StudyRef
from ledger import ClaimedDelivery, ClaimedJob, Delivery, Job, JobRequest, Ledger, Priority
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.ledger.routed import claim_due


def submit(
    ledger: Ledger, study: str = "1.2.3", at: datetime = NOON, source: str = "pacs", **more: object
) -> Job:
    set_time(ledger, at)
    request = JobRequest(StudyRef(source, study), **more)  # type: ignore[arg-type]
    return ledger.jobs.submit(request, idempotency_key=None, tenant="ris").job


def arrive(ledger: Ledger, uri: str, at: datetime = NOON, tenant: str = "ris", model: str = "ich") -> Job:
    set_time(ledger, at)
    return ledger.jobs.submit_object(
        StudyRef("s3", "1.2.3"),
        uri,
        model=model,
        priority=Priority.URGENT,
        inference_type="triage",
        tenant=tenant,
        stable_age_s=5,
    ).job


def claim(
    ledger: Ledger, at: datetime = NOON, limit: int = 9, worker: str = "a", lease_s: float = 10
) -> list[ClaimedJob]:
    set_time(ledger, at)
    return claim_due(ledger, limit, worker, lease_s)


def due(ledger: Ledger, limit: int = 9, **how: Any) -> list[str]:
    """The ids of the jobs that recovery finds."""
    return [job.id for job in ledger.leases.due(limit, **how)]


def claim_one(ledger: Ledger, at: datetime = NOON, worker: str = "a", lease_s: float = 10) -> str:
    (claimed,) = claim(ledger, at, 1, worker, lease_s)
    return claimed.token


def complete(ledger: Ledger, token: str, *deliveries: Delivery) -> None:
    ledger.leases.complete(
        token,
        result={"score": 87},
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=deliveries,
        stages_s={"fetch": 0.5},
        model="ich",
    )


def carry(ledger: Ledger, at: datetime = NOON, worker: str = "a") -> tuple[ClaimedDelivery, ...]:
    set_time(ledger, at)
    return ledger.outbox.claim_deliveries(worker, 10, 5)
