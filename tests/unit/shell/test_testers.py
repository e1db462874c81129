"""A tester chooses the variant that reads; nobody else can, and nobody gets another one in silence."""

from __future__ import annotations

import httpx
import pytest

from serve_apps.application.callers import Scope
from serve_apps.application.run_job import order_of
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import BODY, Site

CANARY = {"X-Serinus-Variant": "canary"}


@pytest.fixture
def with_canary(site: Site) -> Site:
    site.snapshot = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=100)
    return site


async def test_a_testers_wish_stands_in_the_job(with_canary: Site, http: httpx.AsyncClient) -> None:
    job = (await http.post("/v1/jobs", json=BODY, headers=CANARY)).json()["id"]
    assert order_of(with_canary.ledger.jobs.get(job)).tester_variant == "canary"


async def test_a_caller_without_the_scope_cannot_choose(with_canary: Site, http: httpx.AsyncClient) -> None:
    plain = with_canary.new_key("plain", Scope.JOBS_WRITE)
    refused = await http.post("/v1/jobs", json=BODY, headers=CANARY | {"X-API-Key": plain})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert with_canary.ledger.jobs.open_jobs() == 0
    tester = with_canary.new_key("tester", Scope.JOBS_WRITE, Scope.VARIANTS_CHOOSE)
    assert (await http.post("/v1/jobs", json=BODY, headers=CANARY | {"X-API-Key": tester})).status_code == 202


async def test_a_variant_that_may_not_answer_is_refused(with_canary: Site, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json=BODY, headers={"X-Serinus-Variant": "shadow-next"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-variant")
    assert with_canary.ledger.jobs.open_jobs() == 0


async def test_another_variant_is_another_request(with_canary: Site, http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "k"}
    assert (await http.post("/v1/jobs", json=BODY, headers=key)).status_code == 202
    again = await http.post("/v1/jobs", json=BODY, headers=key | CANARY)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency-conflict")
