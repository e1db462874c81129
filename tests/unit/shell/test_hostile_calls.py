"""Calls that no client of good will sends: each is refused by name, and none is an internal error."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.unit.shell.site import BODY, Site
from tests.unit.shell.test_inbox import BOUNDARY, HEADERS, an_instance

JSON = {"Content-Type": "application/json"}
STUDY = '"study_uid": "1.2.840.77", "source": "samples"'


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-01-01"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "now"},
        {"study_uid": "1..2"},
        {"limit": "9" * 5000},
        {"cursor": "9" * 5000},
        {"cursor": "x"},
    ],
)
async def test_a_query_that_means_nothing_is_422(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get("/v1/jobs", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")


@pytest.mark.parametrize(
    "since", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999-23:59", "1", "-1", "253402300799"]
)
async def test_a_time_at_the_edge_of_the_calendar_lists_jobs_or_is_refused(
    http: httpx.AsyncClient, since: str
) -> None:
    assert (await http.get("/v1/jobs", params={"since": since})).status_code in (200, 422)


@pytest.mark.parametrize("cursor", ["9" * 30, "9" * 5000, "-1", "1e9", "x"])
async def test_a_cursor_that_was_never_given_is_422(http: httpx.AsyncClient, cursor: str) -> None:
    assert (await http.get("/v1/events", params={"cursor": cursor})).status_code == 422
    assert (await http.get("/v1/events", headers={"Last-Event-ID": cursor})).status_code == 422


@pytest.mark.parametrize(
    "callback",
    [
        "http://[bad",
        "https://ris.hospital:65536/",
        "https://ris.hospital:x/",
        "https://ris.hospital:-1/",
        "\x00",
    ],
)
async def test_a_callback_that_is_no_address_is_422(http: httpx.AsyncClient, callback: str) -> None:
    answer = await http.post("/v1/jobs", json=BODY | {"callback": callback})
    assert (answer.status_code, answer.json()["code"]) in ((422, "url-refused"), (422, "invalid-field"))


@pytest.mark.parametrize(
    "change",
    [
        {"context": {"a": "x" * 1001}},
        {"context": {"x" * 65: "a"}},
        {"context": {str(n): "" for n in range(21)}},
        {"context": {"a": "\x00"}},
        {"series_uids": ["1.2"] * 1001},
        {"outputs": ["json"] * 5},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_field_without_end_is_422(http: httpx.AsyncClient, change: dict[str, Any]) -> None:
    answer = await http.post("/v1/jobs", json=BODY | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")


async def test_a_body_over_the_limit_is_413(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json=BODY | {"context": {"a": "x" * 300_000}})
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{" + STUDY + ', "source": "inbox"}', 422, "invalid-field"),
        ("{" + STUDY + ', "context": {"a": "1", "a": "2"}}', 422, "invalid-field"),
        ("[" * 100_000, 400, "invalid-json"),
        ('{"a": ' + "9" * 10_000 + "}", 400, "invalid-json"),
        ('{"a": NaN}', 400, "invalid-json"),
        (b'{"a": "\xff"}', 400, "invalid-json"),
        ("[]", 422, "invalid-field"),
        ("null", 422, "invalid-field"),
        ("", 422, "invalid-field"),
    ],
    ids=[
        "a key twice",
        "a key twice inside",
        "depth",
        "a long number",
        "NaN",
        "no UTF-8",
        "a list",
        "null",
        "empty",
    ],
)
async def test_json_that_could_mean_two_things_or_none_is_refused(
    site: Site, http: httpx.AsyncClient, body: str | bytes, status: int, code: str
) -> None:
    answer = await http.post("/v1/jobs", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert site.ledger.jobs.open_jobs() == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/jobs/x", "DELETE, GET"),
        ("PUT", "/v1/jobs", "GET, POST"),
        ("POST", "/v1/ab-tests/m", "DELETE, GET, PUT"),
        ("DELETE", "/healthz", "GET"),
        ("POST", "/openapi.json", "GET"),
        ("GET", "/dicom-web/studies", "POST"),
    ],
)
async def test_405_says_what_is_allowed(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.json()["code"] == "method-not-allowed"


async def test_a_call_without_a_key_is_401_before_its_body_is_looked_at(site: Site) -> None:
    async with site.client(key="nobody's") as http:
        for content in (b"{", b"x" * 300_000):
            assert (await http.post("/v1/jobs", content=content, headers=JSON)).status_code == 401


async def test_the_same_instance_pushed_many_times_at_once_is_stored_once_and_answered_200(
    site: Site, http: httpx.AsyncClient
) -> None:
    part = (
        b"--" + BOUNDARY.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n" + an_instance() + b"\r\n"
    )
    body = part + b"--" + BOUNDARY.encode() + b"--\r\n"
    pushes = [http.post("/dicom-web/studies", content=body, headers=HEADERS) for _ in range(30)]
    answers = await asyncio.gather(*pushes)
    assert {answer.status_code for answer in answers} == {200}
    assert len([path for path in site.settings.state_dir.joinpath("inbox").rglob("*") if path.is_file()]) == 1
    jobs, _ = site.ledger.jobs.list_jobs()
    assert [job.study.inputs for job in jobs] == [("1.2.3.1",)]


async def test_a_study_is_not_stored_under_what_is_no_uid(http: httpx.AsyncClient) -> None:
    answer = await http.post("/dicom-web/studies/1..2", content=b"", headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")


async def test_a_caller_who_wants_no_waiting_hears_that_it_was_understood(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/jobs", json=BODY, headers={"Prefer": "respond-async; x=1, handling=lenient"}
    )
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")


async def test_preferences_may_come_in_several_headers(http: httpx.AsyncClient) -> None:
    headers = [("Prefer", "respond-async"), ("Prefer", 'WAIT = "0"')]
    answer = await http.post("/v1/jobs", json=BODY, headers=headers)
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")
