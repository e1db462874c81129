"""What callers are told while something that every answer needs is not there yet, or is away for a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.site import BODY, STUDY, Site

OBJECT = {
    "study_uid": STUDY,
    "modality": "CT",
    "inference_type": "triage",
    "s3_uri": "s3://incoming/1.dcm",
}
NEEDS_A_SNAPSHOT: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/jobs", BODY),
    ("POST", "/v1/jobs", {"study_uid": STUDY, "source": "samples"}),
    ("POST", "/v1/infer", OBJECT),
    ("PUT", "/v1/routes/ich-triage/weight", {"version": "2", "weight_bp": 100}),
    ("PUT", "/v1/routes/ich-triage/shadow", {"alias": "challenger", "percent": 10}),
    ("PUT", "/v1/routes/ich-triage/pin", {"patient_id": "p", "variant": "champion"}),
    ("PUT", "/v1/ab-tests/ich-triage", {"weights_bp": {"arm-a": 5000, "arm-b": 5000}}),
]
NEEDS_THE_LEDGER: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/readyz", None),
    ("POST", "/v1/jobs", BODY),
    ("POST", "/v1/infer", OBJECT),
    ("GET", "/v1/jobs", None),
    ("GET", "/v1/jobs/x", None),
    ("DELETE", "/v1/jobs/x", None),
    ("GET", "/v1/jobs/x/results", None),
    ("GET", "/v1/jobs/x/explain", None),
    ("POST", f"/v1/studies/{STUDY}/complete", None),
    ("GET", "/v1/routes", None),
    ("PUT", "/v1/routes/ich-triage/safety-net", {"share_bp": 1}),
    ("PUT", "/v1/routes/ich-triage/rules", {"rules": []}),
    ("DELETE", "/v1/routes/ich-triage/pending/1?reason=gone", None),
    ("GET", "/v1/ab-tests/ich-triage", None),
    ("GET", "/v1/events", None),
    ("GET", "/v1/audit", None),
    ("GET", "/v1/queue", None),
    ("DELETE", "/v1/freeze", None),
]


@pytest.mark.parametrize(("method", "path", "body"), NEEDS_A_SNAPSHOT, ids=str)
async def test_without_a_snapshot_nothing_is_called_unknown(
    site: Site, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> None:
    site.snapshot = RoutingSnapshot()
    answer = await http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "warming"), answer.text
    assert answer.json()["retryable"] is True
    assert answer.headers["Retry-After"]
    assert site.ledger.jobs.open_jobs() == 0


async def test_readyz_waits_for_a_snapshot_and_for_every_champion(
    site: Site, http: httpx.AsyncClient
) -> None:
    warm = site.snapshot
    site.snapshot = RoutingSnapshot()
    assert (await http.get("/readyz")).status_code == 503
    site.snapshot = replace(warm, loading=frozenset({"ich-triage"}))
    answer = await http.get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "ich-triage" in answer.json()["detail"]
    site.snapshot = warm
    assert (await http.get("/readyz")).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), NEEDS_THE_LEDGER, ids=str)
async def test_while_the_ledger_is_away_callers_are_asked_to_come_back(
    site: Site, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    site.lose_the_ledger()
    answer = await http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable"), answer.text
    assert answer.headers["Retry-After"]


async def test_what_is_in_service_is_told_also_without_the_ledger(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.alarm = "the control state cannot be read from the ledger"
    site.lose_the_ledger()
    answer = await http.get("/v1/models")
    assert answer.status_code == 200
    assert answer.json()["alarms"] == {"routers": site.alarm, "ledger": "the database does not answer"}


async def test_what_other_replicas_have_to_say_stands_beside_it_once(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Nobody asks a ShadowWorker by HTTP: the Ingress that is asked asks it."""
    site.alarm = "the ledger is older"
    site.replicas.alarmed = {"Ingress": "the ledger is older", "ShadowWorker": "it obeys a freeze"}
    alarms = (await http.get("/v1/models")).json()["alarms"]
    assert alarms == {"routers": "the ledger is older", "routers/ShadowWorker": "it obeys a freeze"}
