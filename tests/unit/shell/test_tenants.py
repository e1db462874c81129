"""A tenant's jobs are its own: to a key of another tenant they do not exist."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from ledger import Audience, Delivery
from serve_apps.application.callers import Scope
from tests.unit.ledger.routed import decided
from tests.unit.shell.site import BODY, Site

ALL_BUT_ADMIN = [scope for scope in Scope if scope is not Scope.ADMIN]


@pytest.fixture
async def north(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client(site.new_key("north", *ALL_BUT_ADMIN)) as http:
        yield http


@pytest.fixture
async def south(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client(site.new_key("south", *ALL_BUT_ADMIN)) as http:
        yield http


async def submitted(http: httpx.AsyncClient, **headers: str) -> str:
    answer = await http.post("/v1/jobs", json=BODY, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/{job}"),
        ("GET", "/v1/jobs/{job}?wait=0.01"),
        ("DELETE", "/v1/jobs/{job}"),
        ("GET", "/v1/jobs/{job}/results"),
        ("GET", "/v1/jobs/{job}/results?document=sr"),
        ("GET", "/v1/jobs/{job}/explain"),
    ],
)
async def test_another_tenants_job_is_not_found(
    site: Site, north: httpx.AsyncClient, south: httpx.AsyncClient, method: str, path: str
) -> None:
    job = await submitted(north)
    headers = {"Accept": "application/dicom"} if "document" in path else {}
    foreign = await south.request(method, path.format(job=job), headers=headers)
    unknown = await south.request(method, path.format(job="0" * 32), headers=headers)
    assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    assert site.ledger.jobs.get(job).state == "queued"


async def test_a_list_holds_the_tenants_own_jobs(
    site: Site, http: httpx.AsyncClient, north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    jobs = {"north": await submitted(north), "south": await submitted(south)}
    for name, client in (("north", north), ("south", south)):
        listed = (await client.get("/v1/jobs")).json()["jobs"]
        assert [(job["id"], job["tenant"]) for job in listed] == [(jobs[name], name)]
        by_study = (await client.get("/v1/jobs", params={"study_uid": BODY["study_uid"]})).json()["jobs"]
        assert [job["id"] for job in by_study] == [jobs[name]]
    assert (await south.get("/v1/jobs", params={"tenant": "north"})).status_code == 403
    assert (await south.get("/v1/jobs", params={"tenant": "south"})).status_code == 200
    assert {job["id"] for job in (await http.get("/v1/jobs")).json()["jobs"]} == set(jobs.values())
    (named,) = (await http.get("/v1/jobs", params={"tenant": "north"})).json()["jobs"]
    assert named["id"] == jobs["north"]


async def test_an_administrator_sees_and_cancels_every_job(
    http: httpx.AsyncClient, north: httpx.AsyncClient
) -> None:
    job = await submitted(north)
    assert (await http.get(f"/v1/jobs/{job}")).json()["tenant"] == "north"
    assert (await http.delete(f"/v1/jobs/{job}")).status_code == 202


async def test_an_idempotency_key_is_its_tenants(
    site: Site, north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    first = await submitted(north, **{"Idempotency-Key": "k"})
    assert await submitted(south, **{"Idempotency-Key": "k"}) != first
    async with site.client(site.new_key("north-2", *ALL_BUT_ADMIN, tenant="north")) as colleague:
        assert await submitted(colleague, **{"Idempotency-Key": "k"}) == first


async def events_of(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    return [
        (event["job"], event["escalation"]["code"])
        for event in (await http.get("/v1/events")).json()["events"]
    ]


async def test_a_shared_reading_names_no_job_of_another_tenant(
    site: Site, http: httpx.AsyncClient, north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    """The study is read once; what is told of it is told to each under the name of his own job."""
    read = await submitted(north)
    site.finish(read)
    site.ledger.decisions.record(read, "st-1", [decided()])
    job = await submitted(south)
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    result = {**site.ledger.jobs.result(read), "same_as": read}
    site.ledger.leases.complete_as(
        claimed.token,
        read,
        result=result,
        deliveries_to_make=(),
        stages_s={},
        model="ich-triage",
        is_foreign=True,
    )
    site.ledger.escalations.record(read, {"code": "x"}, Audience.CALLER)
    told = [await south.get(f"/v1/jobs/{job}{part}") for part in ("", "/results", "/explain")]
    assert [answer.status_code for answer in told] == [200, 200, 200]
    assert not any(read in answer.text for answer in told)
    assert told[1].json()["escalations"] == [{"code": "x"}]
    assert len(told[2].json()["decisions"]) == 1
    assert await events_of(south) == [(job, "x")]
    assert await events_of(north) == [(read, "x")]
    assert await events_of(http) == [(read, "x")]


async def test_dead_letters_are_the_tenants_own(
    site: Site, http: httpx.AsyncClient, north: httpx.AsyncClient, south: httpx.AsyncClient
) -> None:
    job = await submitted(north)
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    site.ledger.leases.fail(
        claimed.token, "x", "why", deliveries_to_make=[Delivery("callback", "https://north.example")]
    )
    (delivery,) = site.ledger.outbox.claim_deliveries("t", 60, 1)
    site.ledger.outbox.delivery_failed(delivery.id, "t", "callback-gone", retry_at=None)
    letters = [(await client.get("/v1/queue")).json()["dead_letters"] for client in (http, north, south)]
    assert [[letter["job_id"] for letter in each] for each in letters] == [[job], [job], []]
