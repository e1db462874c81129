"""A/B tests by HTTP: started once, never beside a rollout, reported from the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from canary.assignment import StudyFacts, assign
from canary.explain import decision_row
from canary.routing_table import ABTest, Arm, RoutingTable, are_exclusive
from serve_apps.application.routing_snapshot import VariantState, VariantStatus
from tests.unit.shell.builders import a_snapshot, a_variant, a_version
from tests.unit.shell.site import BODY, STUDY, Site

PATH = "/v1/ab-tests/ich-triage"
ASKED = {"weights_bp": {"arm-a": 5_000, "arm-b": 5_000}}
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def with_arms(site: Site) -> Site:
    rows = tuple(
        VariantStatus("ich-triage", version, role, VariantState.WARM)
        for version, role in (("1", "champion"), ("2", "challenger"), ("1", "arm-a"), ("2", "arm-b"))
    )
    site.snapshot = replace(a_snapshot(a_version("1")), variants=rows)
    return site


async def test_a_test_is_started_with_an_actor_and_shown(with_arms: Site, http: httpx.AsyncClient) -> None:
    answer = await http.put(PATH, json=ASKED, headers={"X-Serinus-Actor": "ada"})
    assert answer.status_code == 200, answer.text
    assert [arm["name"] for arm in answer.json()["arms"]] == ["arm-a", "arm-b"]
    assert answer.json()["sample_ratio"]["verdict"] == "Inconclusive"
    assert with_arms.announced == 1
    assert with_arms.ledger.audit.rows(limit=1)[0].actor == "ris/ada"


@pytest.mark.parametrize(
    "body",
    [
        {"weights_bp": {"arm-a": 10_000}},
        {"weights_bp": {"arm-a": 5_000, "arm-b": 4_000}},
        {"weights_bp": {"arm-a": 5_000, "arm-c": 5_000}},
        {"weights_bp": {"arm-a": 5_000, "champion": 5_000}},
        {**ASKED, "coverage_bp": 10_001},
        {**ASKED, "slot": {"layer": "l", "start": 5_000, "stop": 5_000}},
    ],
    ids=["one arm", "sum", "unknown alias", "no arm", "coverage", "empty slot"],
)
async def test_what_is_no_test_is_refused_and_nothing_is_written(
    with_arms: Site, http: httpx.AsyncClient, body: Mapping[str, Any]
) -> None:
    answer = await http.put(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")
    assert with_arms.ledger.routing.get("ich-triage").ab is None


async def test_a_rollout_and_a_test_exclude_each_other(with_arms: Site, http: httpx.AsyncClient) -> None:
    weight = "/v1/routes/ich-triage/weight"
    await http.put(PATH, json=ASKED)
    refused = await http.put(weight, json={"version": "2", "weight_bp": 500})
    assert (refused.status_code, refused.json()["code"]) == (409, "experiment-under-way")
    assert (await http.delete(PATH)).status_code == 204
    assert (await http.put(weight, json={"version": "2", "weight_bp": 500})).status_code == 200
    assert (await http.put(PATH, json=ASKED)).status_code == 409


async def test_in_slots_of_one_layer_they_run_beside_each_other(
    with_arms: Site, http: httpx.AsyncClient
) -> None:
    layer, weight = "/v1/routes/ich-triage/layer", "/v1/routes/ich-triage/weight"
    low, high = ({"layer": "reading", "start": start, "stop": start + 5_000} for start in (0, 5_000))
    assert (await http.put(layer, json={"slot": low})).status_code == 200
    assert (await http.put(weight, json={"version": "2", "weight_bp": 500})).status_code == 200
    overlapping = await http.put(PATH, json={**ASKED, "slot": {**high, "start": 4_000}})
    assert (overlapping.status_code, overlapping.json()["code"]) == (409, "experiment-under-way")
    assert "the rollout has reading 0 to 50 %, the test reading 40 to 100 %" in overlapping.json()["detail"]
    started = await http.put(PATH, json={**ASKED, "slot": high})
    assert (started.status_code, started.json()["slot"]) == (200, high)
    narrower = await http.put(layer, json={"slot": {**low, "stop": 100}})
    assert (narrower.status_code, narrower.json()["code"]) == (409, "experiment-under-way")
    routing = with_arms.ledger.routing.get("ich-triage")
    assert routing.rollout is not None
    assert routing.ab is not None
    assert are_exclusive(routing.rollout.slot, routing.ab.slot)
    (shown,) = (await http.get("/v1/routes")).json()["models"]
    assert shown["desired_slot"] == low


async def test_a_slot_that_somebody_else_has_changed_meanwhile_is_a_conflict(
    with_arms: Site, http: httpx.AsyncClient
) -> None:
    answer = await http.put("/v1/routes/ich-triage/layer", json={"slot": None, "expected_revision": 7})
    assert (answer.status_code, answer.json()["code"]) == (409, "routing-conflict")


async def test_without_a_test_there_is_no_report(site: Site, http: httpx.AsyncClient) -> None:
    assert (await http.get(PATH)).json()["code"] == "no-ab-test"


async def test_the_report_counts_what_the_ledger_holds(with_arms: Site, http: httpx.AsyncClient) -> None:
    await http.put(PATH, json=ASKED)
    test = with_arms.ledger.routing.get("ich-triage").ab
    assert test is not None
    arms = tuple(Arm(a_variant(a_version(v), name), 5_000) for v, name in (("1", "arm-a"), ("2", "arm-b")))
    table = RoutingTable(8, "ich-triage", a_variant(a_version("1")), ab_test=ABTest(arms, test.salt))
    for number in range(12):
        job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
        assignment = assign(StudyFacts(f"st-{number}", f"pt-{number}"), table)
        row = decision_row(assignment, "ich-triage", role="answered", outcome="ok", latency_ms=10.0)
        with_arms.finish(job)
        with_arms.ledger.decisions.record(job, STUDY, [row])
    report = (await http.get(PATH)).json()
    versions = [version for arm in report["arms"] for version in arm["versions"]]
    assert sum(version["patients"] for version in versions) == 12
    assert {v["flagged"]["share"] for v in versions} == {1.0}
    assert report["sample_ratio"]["verdict"] == "Successful"
