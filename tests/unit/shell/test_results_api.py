"""What there is to fetch of a job that ended badly, and of a document that will never exist."""

from __future__ import annotations

import asyncio

import httpx
import sqlalchemy as sa

from ledger.tables import documents
from tests.unit.shell.site import BODY, Site

DICOM = {"Accept": "application/dicom"}


async def submitted(http: httpx.AsyncClient, outputs: tuple[str, ...] = ("json", "sr")) -> str:
    return str((await http.post("/v1/jobs", json=BODY | {"outputs": outputs})).json()["id"])


async def test_a_failed_job_says_its_own_error_and_not_to_come_back(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http)
    site.fail("worker-lost")
    answer = await http.get(f"/v1/jobs/{job}/results")
    assert (answer.status_code, answer.json()["code"], answer.json()["job"]) == (503, "worker-lost", job)
    assert answer.json()["retryable"] is False
    assert "Retry-After" not in answer.headers


async def test_who_waits_for_a_job_that_fails_is_told_which_one_it_was(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http)
    site.fail("model-error")
    key = {"Idempotency-Key": "again", "Prefer": "wait=5"}
    waiting = asyncio.create_task(http.post("/v1/jobs", json=BODY, headers=key))
    while not site.ledger.leases.due(1, unclaimed_s=0):
        await asyncio.sleep(0)
    site.fail("geometry-invalid")
    answer = await waiting
    assert (answer.status_code, answer.json()["code"]) == (422, "geometry-invalid")
    assert answer.json()["job"] not in ("", job)
    assert (await http.get(f"/v1/jobs/{answer.json()['job']}")).json()["state"] == "failed"


async def test_a_cancelled_job_is_gone_and_a_document_of_it_will_never_be(http: httpx.AsyncClient) -> None:
    job = await submitted(http)
    await http.delete(f"/v1/jobs/{job}")
    for headers, told in (({}, (410, "canceled")), (DICOM, (404, "no-such-document"))):
        answer = await http.get(f"/v1/jobs/{job}/results", headers=headers)
        assert (answer.status_code, answer.json()["code"], answer.json()["job"]) == (*told, job)
        assert "Retry-After" not in answer.headers


async def test_a_document_of_a_failed_job_will_never_be_and_says_how_it_failed(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http)
    site.fail("model-error")
    answer = await http.get(f"/v1/jobs/{job}/results", headers=DICOM)
    assert (answer.status_code, answer.json()["code"], answer.json()["job"]) == (404, "no-such-document", job)
    assert answer.json()["error"]["code"] == "model-error"


async def test_the_sr_of_a_failure_is_there_to_fetch_and_explain_says_so(
    site: Site, http: httpx.AsyncClient
) -> None:
    with_sr, without, uncalled = [
        await submitted(http, outputs)
        for outputs in (("json", "failure-sr"), ("sr", "failure-sr"), ("json", "sr", "seg"))
    ]
    site.fail("model-error", job=with_sr, documents={"failure-sr": b"DICM"})
    site.fail("geometry-invalid", job=without)
    site.fail("geometry-invalid", job=uncalled)
    answer = await http.get(f"/v1/jobs/{with_sr}/results", params={"document": "failure-sr"}, headers=DICOM)
    assert (answer.status_code, answer.content) == (200, b"DICM")
    told = [
        " ".join((await http.get(f"/v1/jobs/{job}/explain")).json()["end"])
        for job in (with_sr, without, uncalled)
    ]
    assert told[0] == "The job failed: why (model-error). It was tried once. An SR in the archive says so."
    assert "(geometry-invalid)" in told[1]
    assert "could not be read" in told[1]
    assert "nor the site asked for one" in told[2]


async def test_explain_tells_of_a_cancel_and_of_no_other_end(site: Site, http: httpx.AsyncClient) -> None:
    canceled, done = await submitted(http), await submitted(http, ("json", "sr", "seg"))
    await http.delete(f"/v1/jobs/{canceled}")
    site.finish(done)
    ends = [(await http.get(f"/v1/jobs/{job}/explain")).json()["end"] for job in (canceled, done)]
    assert ends == [["The job was cancelled: its study was not reported."], []]


async def test_what_is_on_its_way_is_409_with_a_time_to_come_back(http: httpx.AsyncClient) -> None:
    job = await submitted(http)
    answer = await http.get(f"/v1/jobs/{job}/results", headers=DICOM)
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (
        409,
        "not-ready",
        "1",
    )


async def test_a_document_that_nobody_asked_for_is_404_at_once(http: httpx.AsyncClient) -> None:
    job = await submitted(http)
    for kind in ("seg", "pdf"):
        answer = await http.get(f"/v1/jobs/{job}/results", params={"document": kind}, headers=DICOM)
        assert (answer.status_code, answer.json()["code"]) == (404, "no-such-document")
        assert "Retry-After" not in answer.headers


async def test_a_document_that_was_there_and_is_no_longer_kept_is_gone(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http)
    site.finish(job)
    with site.ledger.database.write() as connection:
        connection.execute(sa.delete(documents))
    answer = await http.get(f"/v1/jobs/{job}/results", headers=DICOM)
    assert (answer.status_code, answer.json()["code"], answer.json()["job"]) == (410, "document-purged", job)
    assert (await http.get(f"/v1/jobs/{job}/results")).status_code == 200


async def test_a_document_that_the_result_turned_out_not_to_have_is_404(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http, ("json", "sr", "seg"))
    site.finish(job)
    answer = await http.get(f"/v1/jobs/{job}/results", params={"document": "seg"}, headers=DICOM)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-document")
