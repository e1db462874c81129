"""Bad input gets a clear error with a stable code, and never hears its own patient data back."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests.orthanc import Orthanc
from tests.stack import LiveStack, eventually
from tests.unit.shell.test_inbox import HEADERS, an_instance

UID = "2.25.4242424242"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"study_uid": UID}, 422, "invalid-field"),
        ({"study_uid": "PATIENT^NAME", "source": "samples"}, 422, "invalid-field"),
        ({"study_uid": UID, "source": "nowhere"}, 422, "unknown-source"),
        ({"study_uid": UID, "source": "http://evil"}, 422, "invalid-field"),
        ({"study_uid": UID, "source": "samples", "url": "http://evil"}, 422, "invalid-field"),
        ({"study_uid": UID, "source": "samples", "model": "nobody"}, 422, "unknown-model"),
        ({"study_uid": UID, "source": "samples", "priority": "now"}, 422, "invalid-field"),
        ({"study_uid": UID, "source": "samples", "callback": "http://169.254.169.254/"}, 422, "url-refused"),
    ],
)
def test_a_bad_submission_is_refused_with_its_reason(
    stack: LiveStack, body: dict[str, Any], status: int, code: str
) -> None:
    with stack.http() as http:
        answer = http.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "PATIENT" not in answer.text
    assert UID not in answer.text


def test_what_is_not_json_is_400(stack: LiveStack) -> None:
    with stack.http() as http:
        answer = http.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-json")


def test_an_unknown_study_is_404_when_waited_for(stack: LiveStack) -> None:
    with stack.http() as http:
        answer = http.post(
            "/v1/jobs", json={"study_uid": UID, "source": "pacs"}, headers={"Prefer": "wait=30"}
        )
    assert (answer.status_code, answer.json()["code"]) == (404, "study-not-found")


def test_a_job_nobody_knows_is_404(stack: LiveStack) -> None:
    with stack.http() as http:
        assert http.get("/v1/jobs/nope").json()["code"] == "job-not-found"
        assert http.get("/v1/nothing").status_code == 404


def test_no_key_is_401_and_a_small_key_403(stack: LiveStack) -> None:
    with stack.http(key="wrong") as http:
        assert http.get("/v1/jobs").status_code == 401
        assert http.get("/healthz").status_code == 200
    with stack.http(key=stack.run("keys", "create", "reader", "--scope", "results:read")["key"]) as http:
        eventually(lambda: http.get("/v1/jobs").is_success or None, 10, "the new key to be known")
        answer = http.post("/v1/jobs", json={"study_uid": UID, "source": "samples"})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_tenants_key_reads_sees_its_own_jobs_and_ends_without_a_restart(stack: LiveStack) -> None:
    foreign = stack.submit(UID, "pacs")
    made = stack.run("keys", "create", "north", "--scope", "jobs:write", "--scope", "results:read")
    with stack.http(key=made["key"]) as http:
        eventually(lambda: http.get("/v1/jobs").is_success or None, 10, "the new key to be known")
        own = http.post("/v1/jobs", json={"study_uid": UID, "source": "pacs"}).json()["id"]
        assert [job["id"] for job in http.get("/v1/jobs").json()["jobs"]] == [own]
        assert http.get(f"/v1/jobs/{own}").json()["tenant"] == "north"
        assert http.get(f"/v1/jobs/{foreign}").json()["code"] == "job-not-found"
        assert stack.run("keys", "revoke", made["id"])["revoked"][0]["state"] == "revoked"
        eventually(
            lambda: http.get("/v1/jobs").status_code == 401 or None, 10, "the revoked key to be refused"
        )


def test_the_same_key_and_body_is_the_same_job_and_another_body_a_conflict(stack: LiveStack) -> None:
    headers = {"Idempotency-Key": "order-1"}
    body = {"study_uid": UID, "source": "pacs"}
    with stack.http() as http:
        first = http.post("/v1/jobs", json=body, headers=headers)
        again = http.post("/v1/jobs", json=body, headers=headers)
        other = http.post("/v1/jobs", json=body | {"priority": "stat"}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")


def test_a_body_over_the_limit_is_413_before_it_is_sent(stack: LiveStack) -> None:
    connection = HTTPConnection("127.0.0.1", stack.settings.api_port, timeout=30)
    connection.putrequest("POST", "/dicom-web/studies")
    connection.putheader("X-API-Key", stack.key)
    connection.putheader("Content-Type", 'multipart/related; type="application/dicom"; boundary=x')
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    connection.send(b"--x\r\n")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (413, "body-too-large")


def test_a_pacs_that_is_away_fails_the_job_as_the_sources_fault(stack: LiveStack, pacs: Orthanc) -> None:
    pacs.stop()
    try:
        job = stack.submit(UID, "pacs")
        with stack.http() as http:
            seen = http.get(f"/v1/jobs/{job}", params={"wait": 2}).json()
        assert seen["state"] != "completed"
    finally:
        pacs.start()
    job_after = stack.finished(job)
    assert job_after["error"]["code"] == "study-not-found"  # tried again when the PACS was back


def test_the_schema_has_an_example_for_every_request(stack: LiveStack) -> None:
    """And for every other body: tests/unit/shell/test_openapi.py; here it is what the proxy gives, without a key."""
    with stack.http(key="") as http:
        schema = http.get("/openapi.json").json()
    for name in ("JobSubmission", "InferCall", "JobOut", "ResultOut", "Problem"):
        assert schema["components"]["schemas"][name]["examples"]


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-01-01"},
        {"since": "2026-01-01T00:00:00"},
        {"study_uid": "1..2"},
    ],
)
def test_a_query_that_means_nothing_is_422(stack: LiveStack, query: dict[str, str]) -> None:
    with stack.http() as http:
        answer = http.get("/v1/jobs", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")
        assert http.get("/v1/events", params={"cursor": "9" * 40}).status_code == 422


def test_the_same_instance_pushed_many_times_at_once_is_stored_once(stack: LiveStack) -> None:
    part = b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n" + an_instance("2.25.777", "2.25.777.1")
    with stack.http() as http, ThreadPoolExecutor(20) as threads:

        def push(_: int) -> int:
            content = part + b"\r\n--b0undary--\r\n"
            return http.post("/dicom-web/studies", content=content, headers=HEADERS).status_code

        assert set(threads.map(push, range(60))) == {200}
    assert len(list((stack.settings.paths.inbox / "2.25.777").iterdir())) == 1


async def test_a_flood_is_answered_with_results_or_429_and_nobody_hangs(stack: LiveStack) -> None:
    job = stack.submit(UID, "pacs")
    limits = httpx.Limits(max_connections=900)
    async with httpx.AsyncClient(
        base_url=stack.settings.api_url, headers={"X-API-Key": stack.key}, timeout=90, limits=limits
    ) as http:
        answers = await asyncio.gather(*(http.get(f"/v1/jobs/{job}", params={"wait": 2}) for _ in range(800)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 429)
    assert sum(answer.status_code == 200 for answer in answers) >= 100
    with stack.http() as http_again:
        assert http_again.get("/healthz").status_code == 200
