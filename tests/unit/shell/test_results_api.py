"""What there is to fetch of a job that ended badly, and of a document that will never exist."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.shell.site import BODY, Site

DICOM = {"Accept": "application/dicom"}


async def submitted(http: httpx.AsyncClient, outputs: tuple[str, ...] = ("json", "sr")) -> str:
    return str((await http.post("/v1/jobs", json=BODY | {"outputs": outputs})).json()["id"])


@pytest.mark.parametrize("headers", [{}, DICOM], ids=["json", "dicom"])
async def test_a_failed_job_says_its_own_error_and_not_to_come_back(
    site: Site, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    job = await submitted(http)
    site.fail("worker-lost")
    answer = await http.get(f"/v1/jobs/{job}/results", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "worker-lost")
    assert answer.json()["retryable"] is False
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("headers", [{}, DICOM], ids=["json", "dicom"])
async def test_a_cancelled_job_has_no_result_and_never_will(
    site: Site, http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    job = await submitted(http)
    await http.delete(f"/v1/jobs/{job}")
    answer = await http.get(f"/v1/jobs/{job}/results", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "canceled")
    assert "Retry-After" not in answer.headers


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


async def test_a_document_that_the_result_turned_out_not_to_have_is_404(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await submitted(http, ("json", "sr", "seg"))
    site.finish(job)
    answer = await http.get(f"/v1/jobs/{job}/results", params={"document": "seg"}, headers=DICOM)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-document")
