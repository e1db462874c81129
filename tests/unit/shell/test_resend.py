"""Objects and pushes that come again: a success is not repeated, a failure is read anew."""

from __future__ import annotations

import asyncio

import httpx

from ledger import FINISHED, JobState
from tests.unit.shell.site import STUDY, Site
from tests.unit.shell.test_inbox import HEADERS, an_instance, body_of

OBJECT = {
    "study_uid": STUDY,
    "modality": "CT",
    "inference_type": "triage",
    "s3_uri": "s3://incoming/1.dcm",
}


async def sent(http: httpx.AsyncClient) -> str:
    return (await http.post("/v1/infer", json=OBJECT)).headers["X-Serinus-Job"]


async def pushed(http: httpx.AsyncClient) -> httpx.Response:
    body = b"".join([part async for part in body_of(an_instance(STUDY, f"{STUDY}.1"))])
    return await http.post("/dicom-web/studies", content=body, headers=HEADERS)


async def jobs_of(http: httpx.AsyncClient) -> list[str]:
    page = (await http.get("/v1/jobs", params={"study_uid": STUDY})).json()
    return [job["id"] for job in page["jobs"]]


async def end(site: Site, http: httpx.AsyncClient, code: str | None) -> None:
    await http.post(f"/v1/studies/{STUDY}/complete")
    (job,) = [job for job in await jobs_of(http) if site.ledger.jobs.get(job).state not in FINISHED]
    if code is None:
        site.finish(job)
    else:
        site.fail(code)


async def test_an_object_of_a_failed_study_is_read_again_when_it_is_sent_again(
    site: Site, http: httpx.AsyncClient
) -> None:
    first = await sent(http)
    await end(site, http, "geometry-invalid")
    second = await sent(http)
    assert second != first
    job = site.ledger.jobs.get(second)
    assert (job.state, job.study.inputs) == (JobState.WAITING, (OBJECT["s3_uri"],))


async def test_an_object_of_a_study_that_was_read_is_not_read_again(
    site: Site, http: httpx.AsyncClient
) -> None:
    first = await sent(http)
    await end(site, http, None)
    assert await sent(http) == first


async def test_a_failed_push_is_read_again_when_it_is_sent_again(site: Site, http: httpx.AsyncClient) -> None:
    await pushed(http)
    await end(site, http, "study-unreadable")
    assert (await pushed(http)).status_code == 200
    states = [site.ledger.jobs.get(job).state for job in await jobs_of(http)]
    assert sorted(states) == [JobState.FAILED, JobState.WAITING]


async def test_the_same_push_twice_at_the_same_time_is_one_file_and_one_job(
    site: Site, http: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(pushed(http) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await jobs_of(http)) == 1
    stored = [path for path in (site.settings.state_dir / "inbox").rglob("*") if path.is_file()]
    assert [path.name for path in stored] == [f"{STUDY}.1.dcm"]


async def test_a_push_while_the_ledger_is_away_is_asked_for_again(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.lose_the_ledger()
    answer = await pushed(http)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
    assert answer.headers["Retry-After"]
