"""The same request twice, while nobody has begun the first, is one job."""

from __future__ import annotations

from typing import Any

import pytest

from core.study import StudyRef
from ledger import Job, JobRequest, Ledger, Priority
from tests.unit.ledger.conftest import after, set_time
from tests.unit.ledger.studies import claim_one


def ask(
    ledger: Ledger, study: str = "1.2.3", *, tenant: str = "ris", key: str | None = None, **more: Any
) -> Job:
    request = JobRequest(StudyRef(more.pop("source", "pacs"), study), **more)
    return ledger.jobs.submit(request, idempotency_key=key, tenant=tenant, join=True).job


def test_a_request_that_comes_twice_is_one_job(ledger: Ledger) -> None:
    assert ask(ledger).id == ask(ledger).id
    assert len(ledger.jobs.list_jobs()[0]) == 1


def test_a_job_that_has_begun_may_have_fetched_less_than_there_is_now(ledger: Ledger) -> None:
    first = ask(ledger)
    token = claim_one(ledger)
    assert ask(ledger).id != first.id
    ledger.leases.retry(token, "source-unavailable", "away", at=after(300), counts=True)
    set_time(ledger, after(1))
    assert ask(ledger, priority=Priority.STAT).id != first.id, "nobody waits for another's pause"


@pytest.mark.parametrize(
    "other",
    [
        {"study": "1.2.4"},
        {"tenant": "orthanc"},
        {"source": "archive"},
        {"model": "ich"},
        {"priority": Priority.STAT},
        {"outputs": ("json",)},
        {"callback": "https://ris/done"},
        {"context": {"ward": "ED"}},
        {"tester_variant": "canary"},
    ],
)
def test_another_request_is_another_job(ledger: Ledger, other: dict[str, Any]) -> None:
    assert ask(ledger).id != ask(ledger, **other).id


def test_a_key_stands_for_the_job_that_its_request_joined(ledger: Ledger) -> None:
    first = ask(ledger)
    joined = ask(ledger, key="k")
    claim_one(ledger)
    assert first.id == joined.id == ask(ledger, key="k").id


def test_a_study_that_comes_object_by_object_is_joined_by_its_objects_only(ledger: Ledger) -> None:
    arrived = ledger.jobs.submit_object(
        StudyRef("pacs", "1.2.3"),
        "s3://in/1",
        model="",
        priority=Priority.ROUTINE,
        inference_type="",
        tenant="ris",
        stable_age_s=5,
    ).job
    assert ask(ledger).id != arrived.id
