"""The HTTP surface over a real ledger and a snapshot that a test makes; no socket is opened."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger import Audience, Delivery
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.ledger.routed import pending
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import BODY, STUDY, Site


async def test_an_accepted_job_is_in_the_ledger_before_the_202(site: Site, http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", json=BODY)
    assert answer.status_code == 202
    job = site.ledger.jobs.get(answer.json()["id"])
    assert answer.headers["Location"] == f"/v1/jobs/{job.id}"
    assert job.study.study_uid == STUDY


async def test_a_result_is_served_as_json_and_as_dicom(site: Site, http: httpx.AsyncClient) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    assert (await http.get(f"/v1/jobs/{job}/results")).json()["code"] == "not-ready"
    site.finish(job)
    result = (await http.get(f"/v1/jobs/{job}/results")).json()
    assert (result["priority_score"], result["status"]) == (91, "preliminary")
    dicom = await http.get(f"/v1/jobs/{job}/results", headers={"Accept": "application/dicom"})
    assert (dicom.content, dicom.headers["content-type"]) == (b"DICM", "application/dicom")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("study-not-found", 404),
        ("no-eligible-series", 422),
        ("geometry-invalid", 422),
        ("source-unavailable", 502),
        ("source-timeout", 504),
        ("model-error", 500),
    ],
)
async def test_a_failed_job_says_why_with_the_right_status(
    site: Site, http: httpx.AsyncClient, code: str, status: int
) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    site.fail(code)
    answer = await http.get(f"/v1/jobs/{job}/results")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "change",
    [
        {"study_uid": "DOE^JOHN"},
        {"study_uid": "1..2"},
        {"source": "http://evil"},
        {"url": "http://evil"},
        {"priority": "now"},
        {"outputs": ["pdf"]},
        {"context": {"a": 1}},
    ],
)
async def test_a_bad_field_is_422_and_is_not_repeated(
    site: Site, http: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    answer = await http.post("/v1/jobs", json=BODY | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")
    assert "DOE" not in answer.text
    assert "evil" not in answer.text
    assert site.ledger.jobs.open_jobs() == 0


async def test_what_is_not_json_is_400(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-json")


async def test_an_overloaded_site_says_when_to_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path, max_open_jobs=1)
    async with site.client() as http:
        assert (await http.post("/v1/jobs", json=BODY)).status_code == 202
        answer = await http.post("/v1/jobs", json=BODY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")


async def test_a_key_that_was_used_gives_its_job_also_when_nothing_new_is_taken(tmp_path: Path) -> None:
    """The caller did not hear the first answer, and asks for nothing new."""
    site, key = Site(tmp_path, max_open_jobs=1), {"Idempotency-Key": "k"}
    async with site.client() as http:
        first = await http.post("/v1/jobs", json=BODY, headers=key)
        again = await http.post("/v1/jobs", json=BODY, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert again.headers["Idempotent-Replayed"] == "true"
        other = await http.post("/v1/jobs", json=BODY | {"priority": "stat"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
        assert (await http.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "l"})).status_code == 429


async def test_ready_means_every_champion_is_warm(site: Site, http: httpx.AsyncClient) -> None:
    assert (await http.get("/readyz")).status_code == 200
    site.snapshot = RoutingSnapshot(generation=1, expected=frozenset({"ich-triage"}))
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "warming")
    assert "ich-triage" in answer.json()["detail"]


async def test_a_cold_model_is_503_and_an_unknown_one_422(site: Site, http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/jobs", json=BODY | {"model": "nobody"})).status_code == 422
    site.snapshot = RoutingSnapshot(generation=1, expected=frozenset({"ich-triage"}))
    assert (await http.post("/v1/jobs", json=BODY)).status_code == 503


async def test_a_reader_may_read_and_not_write(site: Site, http: httpx.AsyncClient) -> None:
    headers = {"X-API-Key": site.reader_key}
    assert (await http.get("/v1/jobs", headers=headers)).status_code == 200
    assert (await http.post("/v1/jobs", json=BODY, headers=headers)).status_code == 403


async def test_without_a_key_only_health_answers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert (await http.get(path, headers={"X-API-Key": "x"})).status_code == 200
    for path in ("/v1/jobs", "/v1/models", "/v1/queue"):
        assert (await http.get(path, headers={"X-API-Key": "x"})).status_code == 401


async def test_a_callback_goes_to_an_allowed_host_only(tmp_path: Path) -> None:
    site = Site(tmp_path, callback_hosts=("ris.hospital",))
    async with site.client() as http:
        good = await http.post("/v1/jobs", json=BODY | {"callback": "https://ris.hospital/done"})
        bad = [
            await http.post("/v1/jobs", json=BODY | {"callback": url})
            for url in (
                "http://ris.hospital/x",
                "https://evil/x",
                "https://ris.hospital@evil/x",
                "file:///etc",
            )
        ]
    assert good.status_code == 202
    assert {answer.json()["code"] for answer in bad} == {"url-refused"}


async def test_calls_per_object_share_a_job(site: Site, http: httpx.AsyncClient) -> None:
    call = {"study_uid": STUDY, "modality": "CT", "inference_type": "triage"}
    jobs = {
        (await http.post("/v1/infer", json=call | {"s3_uri": f"s3://incoming/{n}.dcm"})).headers[
            "X-Serinus-Job"
        ]
        for n in range(5)
    }
    assert len(jobs) == 1
    assert len(site.ledger.jobs.get(jobs.pop()).study.inputs) == 5


async def test_a_weight_is_written_with_its_actor_and_then_announced(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.snapshot = a_snapshot(a_version("1"), canary=a_version("2"))
    change = {"version": "2", "weight_bp": 500}
    answer = await http.put("/v1/routes/ich-triage/weight", json=change, headers={"X-Serinus-Actor": "ada"})
    assert answer.status_code == 200, answer.text
    assert site.ledger.routing.get("ich-triage").weight_bp == 500
    assert site.announced == 1
    assert site.ledger.audit.rows(limit=1)[0].actor == "ris/ada"


async def test_a_pin_keeps_only_the_pseudonym(site: Site, http: httpx.AsyncClient) -> None:
    await http.put("/v1/routes/ich-triage/pin", json={"patient_id": "PAT-4711", "variant": "champion"})
    (pin,) = site.ledger.routing.get("ich-triage").pins
    assert pin.key.startswith("pt-")
    assert "4711" not in str(site.ledger.audit.rows(limit=5))


async def test_a_reader_may_look_at_routes_and_not_change_them(site: Site, http: httpx.AsyncClient) -> None:
    headers = {"X-API-Key": site.reader_key}
    assert (await http.get("/v1/routes", headers=headers)).json()["models"][0]["champion"]["version"] == "1"
    assert (await http.put("/v1/freeze", json={"reason": "a drill"}, headers=headers)).status_code == 403


async def test_a_freeze_is_shown_with_its_reason(site: Site, http: httpx.AsyncClient) -> None:
    await http.put("/v1/freeze", json={"reason": "scanner service day"})
    told = (await http.get("/v1/models")).json()["frozen"]
    assert (told["by"], told["reason"]) == ("ris", "scanner service day")
    assert (await http.get("/v1/routes")).json()["frozen"]["reason"] == "scanner service day"
    await http.delete("/v1/freeze")
    assert (await http.get("/v1/models")).json()["frozen"] is None
    assert (await http.get("/v1/routes")).json()["frozen"] is None


async def test_the_docs_page_loads_nothing_from_outside(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text
    assert "https://" not in page
    assert (await http.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200
    schema = (await http.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["APIKeyHeader"]["name"] == "X-API-Key"
    assert schema["components"]["schemas"]["JobSubmission"]["examples"]


@pytest.mark.parametrize("uri", ["s3://elsewhere/x.dcm", "s3://incoming/../secret", "http://evil/x"])
async def test_an_object_outside_the_sites_prefixes_makes_no_job(
    site: Site, http: httpx.AsyncClient, uri: str
) -> None:
    call = {"study_uid": STUDY, "modality": "CT", "inference_type": "triage", "s3_uri": uri}
    answer = await http.post("/v1/infer", json=call)
    assert answer.status_code == 422
    assert uri not in answer.text
    assert site.ledger.jobs.open_jobs() == 0


async def test_an_escalation_that_came_later_stands_in_the_result(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    site.finish(job)
    assert (await http.get(f"/v1/jobs/{job}/results")).json()["escalations"] == []
    site.ledger.escalations.record(job, {"code": "x", "sentence": "look now"}, Audience.CALLER)
    assert (await http.get(f"/v1/jobs/{job}/results")).json()["escalations"][0]["sentence"] == "look now"
    assert (await http.get("/v1/events")).json()["events"][0]["job"] == job


async def test_a_finished_job_cannot_be_cancelled(site: Site, http: httpx.AsyncClient) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    site.finish(job)
    assert (await http.delete(f"/v1/jobs/{job}")).json()["code"] == "not-cancelable"


async def test_a_waiting_caller_gets_the_result_itself(site: Site, http: httpx.AsyncClient) -> None:
    first = await http.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "k"})
    site.finish(first.json()["id"])
    again = await http.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "k", "Prefer": "wait=5"})
    assert again.status_code == 200
    assert again.json()["model"]["version"] == "1"
    assert again.headers["Preference-Applied"] == "wait=5"


async def test_what_was_not_delivered_is_shown(site: Site, http: httpx.AsyncClient) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    site.ledger.leases.complete(
        claimed.token,
        result={},
        documents_by_kind={},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={},
        model="m",
    )
    (delivery,) = site.ledger.outbox.claim_deliveries("t", 5, 1)
    site.ledger.outbox.delivery_failed(delivery.id, "t", "result-store-rejected", retry_at=None)
    assert (await http.get(f"/v1/jobs/{job}")).json()["undelivered"] == ["stow of sr: result-store-rejected"]
    (letter,) = (await http.get("/v1/queue")).json()["dead_letters"]
    assert (letter["job_id"], letter["destination"], letter["error"]) == (
        job,
        "pacs",
        "result-store-rejected",
    )


async def test_more_callers_than_may_wait_are_told_where_to_look_instead(tmp_path: Path) -> None:
    site = Site(tmp_path, max_waiting_callers=2)
    async with site.client() as http:
        wait = {"Prefer": "wait=60"}
        calls = [asyncio.create_task(http.post("/v1/jobs", json=BODY, headers=wait)) for _ in range(2)]
        while site.services.jobs.waiting < 2:
            await asyncio.sleep(0)
        third = await http.post("/v1/jobs", json=BODY, headers=wait)
        assert not any(call.done() for call in calls)
        for job in (await http.get("/v1/jobs")).json()["jobs"]:
            await http.delete(f"/v1/jobs/{job['id']}")
        await asyncio.gather(*calls)
    assert third.status_code == 202
    assert third.headers["Location"]
    site.ledger.close()


async def test_what_a_version_owes_is_shown_and_given_up_only_by_name(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    site.finish(job, shadows=(pending(version="3"),))
    assert (await http.get("/v1/routes")).json()["pending"] == [
        {"model": "ich", "version": "3", "shadows": 1}
    ]
    path = "/v1/routes/ich/pending/3"
    assert (await http.delete(path)).status_code == 422, "a reason is needed"
    given_up = await http.delete(path, params={"reason": "withdrawn"}, headers={"X-Serinus-Actor": "ada"})
    assert given_up.json() == {"discarded": 1}
    assert site.ledger.audit.rows(limit=1)[0].actor == "ris/ada"
    assert (await http.get("/v1/routes")).json()["pending"] == []
