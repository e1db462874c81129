"""Recalls by HTTP, from a version that is withdrawn to the person who has looked at the last of its studies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from canary.disclosure import Role
from canary.rollout.advance import Event
from canary.rollout.status import RolloutPhase
from ledger import Delivery, NewRecallItem, Recall
from serve_apps.application.callers import Scope
from serve_apps.application.recalled import outcome_of
from serve_apps.control.recalls import Recalls
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import NOON, Clock, after, set_time
from tests.unit.ledger.recalled import a_recall, answered, answered_as, read_for
from tests.unit.shell.builders import a_prediction, a_snapshot, a_version
from tests.unit.shell.shadows import Port, absent
from tests.unit.shell.site import Site
from tests.unit.shell.test_shadow_fence import shadow_runner

MODEL = "ich"
OF_IT, LISTS = f"/v1/rollouts/{MODEL}/recall", f"/v1/rollouts/{MODEL}/recalls"
CHAMPION = a_version("1", MODEL)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.ledger.database._clock = Clock(NOON)
    site.snapshot = a_snapshot(CHAMPION)
    yield site
    site.close()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as client:
        yield client


def look(site: Site) -> None:
    """What the controller does every few seconds."""
    ledger = site.ledger
    Recalls(ledger.recalls, ledger.recalled_studies, ledger.shadows).look(site.snapshot)


def withdraw(site: Site) -> None:
    """A rollout of version 2 that has begun at noon fails."""
    declared = replace(plan(), model=MODEL)
    status = replace(begun(), model=MODEL, began_at=NOON, step_began_at=NOON, progressed_at=NOON)
    stored = site.ledger.rollouts.begin(declared, status, actor="ris/ada")
    ending = replace(
        stored.status, phase=RolloutPhase.FAILED, weight_bp=0, ending="canary-failures is Failed"
    )
    moved = Event(stored.status, ending, NOON, "rollout", "canary-failures is Failed")
    site.ledger.rollouts.move(stored, ending, [moved])


def listed(site: Site) -> Recall:
    """A list of all that version 2 answered since noon."""
    recall = a_recall(site.ledger)
    studies = site.ledger.recalled_studies
    found = (
        *studies.answered(recall, NOON, after(999), 99),
        *studies.answered_by_it(recall, NOON, after(999), 99),
    )
    site.ledger.recalls.add(recall.id, [NewRecallItem(one, outcome_of(one.result)) for one in found])
    return recall


async def test_a_withdrawn_versions_studies_are_read_again_and_told_the_worst_first(
    site: Site, http: httpx.AsyncClient
) -> None:
    withdraw(site)
    agrees, missed, gone = (answered(site.ledger, after(number), f"1.2.{number}") for number in range(3))
    read_for(site.ledger, agrees, "absent")
    look(site)
    assert (await http.get(OF_IT)).json()["summary"]["pending"] == 2
    port = Port({"1": a_prediction("1")})
    runner = shadow_runner(site, Role.RECALL, port)
    assert await runner.run_once()
    assert await runner.run_once()
    assert not await runner.run_once(), "what the safety net has read costs nothing"
    set_time(site.ledger, after(30))
    late = answered(site.ledger, after(30), "1.2.30")
    look(site)
    told = (await http.get(OF_IT)).json()
    by_job = {item["job"]: item for item in told["items"]}
    assert {job: item["difference"] for job, item in by_job.items()} == {
        missed: "critical",
        gone: "critical",
        late: None,
        agrees: "none",
    }
    assert [item["job"] for item in told["items"]] == [gone, missed, late, agrees]
    assert (told["version"], told["run"], told["reason"]) == ("2", 1, "canary-failures is Failed")
    assert (told["summary"]["open"], told["summary"]["to_look_now"]) == (3, 2)
    finding = by_job[missed]["findings"][0]
    assert (finding["delivered"], finding["champion"], finding["critical"]) == ("absent", "present", True)
    assert (by_job[missed]["study_uid"], by_job[missed]["champion"]) == ("1.2.1", "1")


async def test_a_study_that_is_read_again_is_delivered_to_nobody_and_escalated(
    site: Site, http: httpx.AsyncClient
) -> None:
    withdraw(site)
    job = answered(site.ledger)
    look(site)
    site.snapshot = a_snapshot(replace(CHAMPION, may_answer=True))
    before = (await http.get(f"/v1/jobs/{job}/results")).status_code
    port = Port({"1": a_prediction("1")})
    assert await shadow_runner(site, Role.RECALL, port).run_once()
    assert [request.study.series_uids for request in port.fetched] == [("1.2.3.1",)]
    assert site.ledger.outbox.claim_of_job(job, "t", 60) == ()
    assert len((await http.get("/v1/jobs")).json()["jobs"]) == 1
    assert (await http.get(f"/v1/jobs/{job}/results")).status_code == before
    assert site.ledger.jobs.result(job)["findings"][0]["presence"] == "absent"
    (event,) = (await http.get("/v1/events")).json()["events"]
    assert event["job"] == job
    assert event["escalation"]["delivered_missed"]


async def test_what_cannot_be_fetched_any_more_stands_with_its_code(
    site: Site, http: httpx.AsyncClient
) -> None:
    withdraw(site)
    job = answered(site.ledger)
    look(site)
    (task,) = site.ledger.shadows.claim("w", 10, 1, roles=["recall"])
    site.ledger.shadows.failed(task.token, "study-not-found", None)
    look(site)
    (item,) = (await http.get(OF_IT)).json()["items"]
    assert (item["job"], item["state"], item["error_code"], item["open"]) == (
        job,
        "unreadable",
        "study-not-found",
        True,
    )


async def test_an_alarm_stands_until_the_last_item_is_closed(site: Site, http: httpx.AsyncClient) -> None:
    withdraw(site)
    answered(site.ledger)
    look(site)
    recall = (await http.get(OF_IT)).json()
    (item,) = recall["items"]
    alarm = (await http.get("/v1/models")).json()["alarms"][f"ich/recall {recall['id'][:8]}"]
    assert alarm.startswith("version 2 (run 1) was withdrawn, and 1 of the studies that it answered wait")
    assert item["study_uid"] not in alarm
    path = f"{OF_IT}/items/{item['id']}"
    closed = await http.post(path, json={"note": " called the ward "}, headers={"X-Serinus-Actor": "ada"})
    assert (closed.status_code, closed.json()["note"]) == (200, "called the ward")
    assert (closed.json()["closed_by"], closed.json()["open"]) == ("ris/ada", False)
    assert (await http.get("/v1/models")).json()["alarms"] == {}
    again = await http.post(path, json={"note": "called the ward"}, headers={"X-Serinus-Actor": "ada"})
    other = await http.post(path, json={"note": "nobody called"})
    assert (again.status_code, other.status_code) == (200, 409)
    assert other.json()["code"] == "recall-item-closed"
    (row,) = [row for row in (await http.get("/v1/audit")).json()["rows"] if row["action"] == "recall-close"]
    assert row["actor"] == "ris/ada"
    assert "ward" not in json.dumps(row)
    assert "1.2.3" not in json.dumps(row)


async def test_a_tenant_sees_its_own_studies_only(site: Site, http: httpx.AsyncClient) -> None:
    reading = answered(site.ledger, tenant="ris", deliveries=(Delivery("callback", "https://ris/"),))
    got = answered_as(site.ledger, reading, after(1), tenant="other")
    listed(site)
    other = site.client(site.new_key("other", Scope.RESULTS_READ))
    async with site.client(site.reader_key) as ris, other:
        for client, wanted in ((ris, {reading}), (other, {got}), (http, {reading, got})):
            told = (await client.get(OF_IT)).json()
            assert {item["job"] for item in told["items"]} == wanted
            assert told["summary"]["studies"] == len(wanted)
            (head,) = (await client.get(LISTS)).json()["recalls"]
            assert head["summary"] == told["summary"]
        assert (await ris.get(OF_IT, params={"tenant": "other"})).status_code == 403
        mine = (await http.get(OF_IT, params={"tenant": "other"})).json()
        assert [item["job"] for item in mine["items"]] == [got]
        assert mine["items"][0]["documents"] == [], "another tenant's callback"


async def test_reading_needs_the_scope_of_results_and_changing_an_administrator(site: Site) -> None:
    answered(site.ledger)
    recall = listed(site)
    (rank,) = site.ledger.recall_lists.ranks(recall.id, tenant=None)
    path, note = f"{OF_IT}/items/{rank.item}", {"note": "called the ward"}
    writer = site.client(site.new_key("writer", Scope.JOBS_WRITE, Scope.TRUTH_WRITE, tenant="ris"))
    async with site.client(site.reader_key) as reader, writer:
        assert [(await reader.get(one)).status_code for one in (OF_IT, LISTS)] == [200, 200]
        assert [(await writer.get(one)).status_code for one in (OF_IT, LISTS)] == [403, 403]
        for client in (reader, writer):
            assert (await client.post(path, json=note)).status_code == 403
            assert (await client.post(OF_IT, json={"run": 1})).status_code == 403
    assert site.ledger.recalls.open_lists()[0].open_items == 1


async def test_pages_go_on_where_the_last_one_ended(site: Site, http: httpx.AsyncClient) -> None:
    jobs = [answered(site.ledger, after(number), f"1.2.{number}") for number in range(3)]
    recall = listed(site)
    pages = [
        (await http.get(OF_IT, params={"id": recall.id, "limit": 2, "offset": start})).json()
        for start in (0, 2)
    ]
    assert [item["job"] for page in pages for item in page["items"]] == jobs[::-1]
    assert [page["summary"]["studies"] for page in pages] == [3, 3]


async def test_a_list_that_is_not_there_is_not_found(site: Site, http: httpx.AsyncClient) -> None:
    answers = [await http.get(OF_IT), await http.get(OF_IT, params={"run": 7})]
    assert {(one.status_code, one.json()["code"]) for one in answers} == {(404, "recall-not-found")}
    missing = await http.post(f"{OF_IT}/items/{0:032x}", json={"note": "x"})
    assert (missing.status_code, missing.json()["code"]) == (404, "recall-item-not-found")
    assert (await http.get(LISTS)).json() == {"recalls": []}


async def test_a_person_asks_for_the_studies_of_a_version_since_a_time(
    site: Site, http: httpx.AsyncClient
) -> None:
    answered(site.ledger, after(-1), "1.2.9")
    wanted = answered(site.ledger)
    body = {"version": "2", "since": NOON.isoformat(), "note": "QM-17"}
    site.services.recalls._clock = lambda: NOON + timedelta(hours=1)
    first = await http.post(OF_IT, json=body, headers={"X-Serinus-Actor": "ada"})
    again = await http.post(OF_IT, json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (first.json()["made_by"], first.json()["reason"], first.json()["run"]) == (
        "ris/ada",
        "QM-17",
        None,
    )
    look(site)
    assert [item["job"] for item in (await http.get(OF_IT)).json()["items"]] == [wanted]


async def test_a_person_asks_for_a_run_once(site: Site, http: httpx.AsyncClient) -> None:
    withdraw(site)
    asked = await http.post(OF_IT, json={"run": 1})
    assert (asked.status_code, asked.json()["version"], asked.json()["run"]) == (201, "2", 1)
    look(site)
    assert len((await http.get(LISTS)).json()["recalls"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-field"),
        ({"version": "2"}, 422, "invalid-field"),
        ({"since": "2026-05-01T08:00:00Z"}, 422, "invalid-field"),
        ({"run": 1, "version": "2", "since": "2026-05-01T08:00:00Z"}, 422, "invalid-field"),
        ({"version": "2", "since": "9999-05-01T08:00:00Z"}, 422, "invalid-field"),
        ({"version": "1", "since": "2020-05-01T08:00:00Z"}, 409, "rollout-refused"),
        ({"run": 7}, 404, "rollout-not-found"),
    ],
)
async def test_what_no_list_can_be_made_of_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await http.post(OF_IT, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_model_that_nobody_knows_has_no_studies(http: httpx.AsyncClient) -> None:
    body = {"version": "2", "since": "2020-05-01T08:00:00Z"}
    answer = await http.post("/v1/rollouts/nobody/recall", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown-model")


async def test_a_list_since_long_ago_is_looked_for_like_any_other(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = answered(site.ledger)
    body = {"version": "2", "since": "0001-01-01T00:00:00+14:00"}
    assert (await http.post(OF_IT, json=body)).status_code == 201
    look(site)
    assert [item["job"] for item in (await http.get(OF_IT)).json()["items"]] == [job]


@pytest.mark.parametrize("note", ["", "   ", "a\x00b", "x" * 501])
async def test_an_item_is_closed_with_words(http: httpx.AsyncClient, note: str) -> None:
    answer = await http.post(f"{OF_IT}/items/{0:032x}", json={"note": note})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field")


async def test_the_champion_that_agrees_leaves_nothing_to_do(site: Site, http: httpx.AsyncClient) -> None:
    withdraw(site)
    answered(site.ledger)
    look(site)
    agreeing = replace(absent("1"), priority_score=50)
    assert await shadow_runner(site, Role.RECALL, Port({"1": agreeing})).run_once()
    look(site)
    told = (await http.get(OF_IT)).json()
    assert (told["items"][0]["difference"], told["summary"]["open"]) == ("none", 0)
    assert (await http.get("/v1/models")).json()["alarms"] == {}
