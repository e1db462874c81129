"""What a caller sees of a study that was sent twice."""

from __future__ import annotations

import httpx

from ledger import Audience, JobState
from serve_apps.application.jobs import new_result
from serve_apps.application.messages import JobOutcome
from tests.unit.ledger.routed import decided
from tests.unit.shell.site import BODY, Site


async def submit(http: httpx.AsyncClient, **more: object) -> str:
    return str((await http.post("/v1/jobs", json={**BODY, **more})).json()["id"])


def finish_as(site: Site, job_id: str, same_as: str) -> None:
    """What a worker does with a job whose study another job has read."""
    claimed = site.ledger.leases.claim(job_id, "t", 60)
    assert claimed is not None
    result = {**site.ledger.jobs.result(same_as), "same_as": same_as}
    site.ledger.leases.complete_as(
        claimed.token, same_as, result=result, deliveries_to_make=(), stages_s={}, model="ich-triage"
    )


async def test_the_same_request_is_one_job_until_it_begins(site: Site, http: httpx.AsyncClient) -> None:
    first = await http.post("/v1/jobs", json=BODY)
    second = await http.post("/v1/jobs", json=BODY)
    assert (second.status_code, second.json()["id"]) == (202, first.json()["id"])
    assert second.headers["Idempotent-Replayed"] == "true"
    site.finish(first.json()["id"])
    assert await submit(http) != first.json()["id"]


async def test_who_forces_a_reading_joins_nobody(site: Site, http: httpx.AsyncClient) -> None:
    first, forced = await submit(http), await submit(http, force=True)
    assert first != forced
    assert site.ledger.jobs.get(forced).force


async def test_job_result_and_explanation_name_the_job_that_read(site: Site, http: httpx.AsyncClient) -> None:
    first = await submit(http)
    site.finish(first)
    site.ledger.decisions.record(first, "st-1", [decided()])
    site.ledger.escalations.record(first, {"code": "x", "sentence": "look now"}, Audience.CALLER)
    second = await submit(http)
    finish_as(site, second, first)
    assert (await http.get(f"/v1/jobs/{first}")).json()["same_as"] is None
    assert (await http.get(f"/v1/jobs/{second}")).json()["same_as"] == first
    result = (await http.get(f"/v1/jobs/{second}/results")).json()
    assert (result["same_as"], result["priority_score"]) == (first, 91)
    assert result["escalations"][0]["sentence"] == "look now", "it holds for whoever has the result"
    explained = (await http.get(f"/v1/jobs/{second}/explain")).json()
    assert explained["same_as"] == first
    assert [decision["row"]["role"] for decision in explained["decisions"]] == ["answered"]


def test_only_a_result_that_was_just_made_needs_no_look_at_what_came_since() -> None:
    made = JobOutcome("j", JobState.COMPLETED, {"same_as": None})
    assert new_result(made) == {"same_as": None}
    assert new_result(JobOutcome("j", JobState.COMPLETED, {"same_as": "i"})) is None
    assert new_result(JobOutcome("j", JobState.STORING, {})) is None
