"""Truths and adjudications by HTTP: told late and once, each tenant its own, read again blindly, and in `explain`."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from canary.adjudication import PairKey, pair_id
from canary.disclosure import Role
from canary.routing_table import Shadow
from core.clock import now
from imaging.finding import Code, Prediction
from models.spec import OutputSpec, Task
from serve_apps.application.callers import Scope
from serve_apps.application.shadow import ShadowOutcome
from tests.unit.shell.builders import a_prediction, a_snapshot, a_spec, a_variant, a_version
from tests.unit.shell.shadows import absent
from tests.unit.shell.site import BODY, STUDY, Site
from tests.unit.shell.test_shadow_fence import a_task

FINDING = "1386000@SCT"
TRUTH = {
    "model": "ich-triage",
    "label": "present",
    "source": "report",
    "reader": "reader-7",
    "read_at": "2026-05-01T08:00:00Z",
}
PATH = f"/v1/studies/{STUDY}/truth"
RIS = {"tenant": "ris"}


@pytest.fixture
async def teller(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A reader of the tenant `ris`, who may do nothing else."""
    async with site.client(site.new_key("readers", Scope.TRUTH_WRITE, tenant="ris")) as client:
        yield client


async def tell(http: httpx.AsyncClient, status: int = 201, **more: Any) -> dict[str, Any]:
    answer = await http.post(PATH, json={**TRUTH, **more})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def read_and_shadowed(site: Site, http: httpx.AsyncClient, seen: Prediction | None = None) -> str:
    """A study that version 9 answered with absent, and version 2 read as a shadow."""
    champion, shadow = a_version("9"), a_version("2")
    snapshot = a_snapshot(champion)
    table = replace(snapshot.table("ich-triage"), shadows=(Shadow(a_variant(shadow, "shadow-a"), 10_000),))
    site.snapshot = replace(snapshot, tables={"ich-triage": table})
    job: str = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    site.finish(job, (a_task(Role.SHADOW),))
    (claimed,) = site.ledger.shadows.claim("w", 60, 1)
    said = ShadowOutcome.from_prediction(seen or a_prediction("2"), a_spec()).as_json()
    site.ledger.shadows.done(claimed.token, said, 10.0)
    return job


async def test_a_truth_is_told_once_and_told_again_changes_nothing(
    site: Site, teller: httpx.AsyncClient
) -> None:
    first = await tell(teller, note="seen on the first slice")
    assert (first["finding"], first["in_force"], first["tenant"]) == (FINDING, True, "ris")
    assert await tell(teller, 200, note="seen on the first slice") == first
    (row,) = site.ledger.audit.rows()
    assert (row.actor, row.action) == ("readers", "truth.add")


async def test_the_history_stays_and_says_what_counts(teller: httpx.AsyncClient) -> None:
    await tell(teller)
    await tell(teller, source="pathology", label="absent")
    assert not (await tell(teller, read_at="2026-05-02T08:00:00Z"))["in_force"]
    told = (await teller.get(PATH)).json()["truths"]
    assert [(t["source"], t["label"], t["in_force"]) for t in told] == [
        ("report", "present", False),
        ("pathology", "absent", True),
        ("report", "present", False),
    ]


async def test_a_withdrawn_truth_counts_no_more(teller: httpx.AsyncClient) -> None:
    report = await tell(teller)
    better = await tell(teller, source="pathology", label="absent")
    gone = await teller.delete(f"{PATH}/{better['id']}")
    assert (gone.status_code, gone.json()["in_force"]) == (200, False)
    counting = [t["id"] for t in (await teller.get(PATH)).json()["truths"] if t["in_force"]]
    assert counting == [report["id"]]
    missing = await teller.delete(f"{PATH}/{'0' * 32}")
    assert (missing.status_code, missing.json()["code"]) == (404, "truth-not-found")


async def test_each_tenant_has_truths_of_its_own(site: Site, teller: httpx.AsyncClient) -> None:
    mine = await tell(teller)
    async with site.client(site.new_key("north", Scope.TRUTH_WRITE)) as other:
        assert (await other.get(PATH)).json() == {"truths": []}
        assert (await other.delete(f"{PATH}/{mine['id']}")).status_code == 404
        for refused in (
            await other.post(PATH, json=TRUTH, params=RIS),
            await other.get(PATH, params=RIS),
            await other.get("/v1/adjudications/ich-triage", params=RIS),
        ):
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    async with site.client() as admin:
        told = await admin.post(PATH, json=TRUTH | {"label": "absent"}, params=RIS)
        assert told.json()["tenant"] == "ris"
        assert len((await admin.get(PATH)).json()["truths"]) == 2


async def test_only_who_may_tell_truths_does(site: Site) -> None:
    plain = site.new_key("plain", *(set(Scope) - {Scope.ADMIN, Scope.TRUTH_WRITE}))
    async with site.client(plain) as http:
        answers = [
            await http.post(PATH, json=TRUTH),
            await http.get(PATH),
            await http.delete(f"{PATH}/{'0' * 32}"),
            await http.get("/v1/adjudications/ich-triage"),
            await http.post(f"/v1/adjudications/items/{'0' * 32}", json={"label": "absent", "reader": "r"}),
        ]
    assert [answer.status_code for answer in answers] == [403] * 5


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"label": None}, "/"),
        ({"value": 1.0, "unit": "ml"}, "/"),
        ({"label": None, "value": 1.0}, "/"),
        ({"label": "perhaps"}, "/label"),
        ({"label": None, "value": "12", "unit": "ml"}, "/value"),
        ({"source": "gossip"}, "/source"),
        ({"reader": "Dr. Anna Example"}, "/reader"),
        ({"finding": "9@SCT"}, "/finding"),
        ({"finding": "no key"}, "/finding"),
        ({"label": None, "value": 1.0, "unit": "ml"}, "/finding"),
        ({"label": None, "value": 1.0, "unit": "kg"}, "/unit"),
        ({"read_at": "2026-05-01"}, "/read_at"),
        ({"read_at": "0001-01-01T00:00:00Z"}, "/read_at"),
        ({"read_at": "2999-01-01T00:00:00Z"}, "/read_at"),
        ({"note": "x" * 1001}, "/note"),
        ({"note": "a\x00b"}, "/note"),
        ({"score": 1}, "/score"),
    ],
    ids=lambda part: json.dumps(part)[:40],
)
async def test_what_is_no_truth_is_refused(
    site: Site, teller: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await teller.post(PATH, json={**TRUTH, **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-field"), answer.text
    assert answer.json()["pointer"] == pointer
    assert site.ledger.audit.rows() == ()


async def test_an_unknown_model_and_a_study_that_is_no_uid_are_refused(teller: httpx.AsyncClient) -> None:
    unknown = await teller.post(PATH, json=TRUTH | {"model": "nobody"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-model")
    assert (await teller.post("/v1/studies/1.02/truth", json=TRUTH)).status_code == 422
    assert (await teller.get("/v1/adjudications/nobody")).status_code == 422


async def test_a_model_that_measures_takes_a_value_in_its_unit(site: Site, teller: httpx.AsyncClient) -> None:
    volume = OutputSpec(
        Task.SEGMENTATION,
        segment=Code("12738006", "SCT", "Brain"),
        volume_concept=Code("118565006", "SCT", "Volume"),
    )
    version = a_version(model="brain-volume")
    site.snapshot = a_snapshot(replace(version, spec=replace(version.spec, output=volume)))
    body = {**TRUTH, "model": "brain-volume", "label": None}
    told = await teller.post(PATH, json=body | {"value": 1410.5, "unit": "mL"})
    assert told.status_code == 201, told.text
    assert (told.json()["finding"], told.json()["value"]) == ("118565006@SCT", 1410.5)
    assert (await teller.post(PATH, json=body | {"value": 1410.5, "unit": "l"})).status_code == 422


async def test_a_job_is_explained_with_what_became_known_and_without_who_said_it(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = await read_and_shadowed(site, http)
    await http.post(PATH, json=TRUTH | {"note": "a word about Anna"}, params=RIS)
    explained = (await http.get(f"/v1/jobs/{job}/explain")).json()
    (truth,) = explained["truths"]
    assert (truth["finding"], truth["label"], truth["source"], truth["in_force"]) == (
        FINDING,
        "present",
        "report",
        True,
    )
    assert "reader-7" not in json.dumps(explained)
    assert "Anna" not in json.dumps(explained)


async def test_a_discordant_study_is_read_again_blindly_and_answered_once(
    site: Site, http: httpx.AsyncClient, teller: httpx.AsyncClient
) -> None:
    await read_and_shadowed(site, http)
    shown = (await teller.get("/v1/adjudications/ich-triage")).json()
    (item,) = shown["items"]
    assert (item["study_uid"], item["finding"]) == (STUDY, FINDING)
    assert item["id"] == pair_id(PairKey("ich-triage", FINDING, "9", "2", "p"))
    assert set(item) == {"id", "study_uid", "model", "finding", "meaning", "open_since"}
    assert shown["workload"] == {
        "open": 1,
        "pairs_per_day": 1.0,
        "discordant_share": 1.0,
        "items_per_day": 1.0,
    }
    path, given = f"/v1/adjudications/items/{item['id']}", {"label": "present", "reader": "reader-7"}
    answered = await teller.post(path, json=given)
    assert answered.status_code == 200, answered.text
    assert answered.json()["truth"]["source"] == "adjudication"
    assert answered.json()["arms"] is None, "a reader stays blind"
    assert (await teller.post(path, json=given)).json() == answered.json()
    other = await teller.post(path, json=given | {"label": "absent"})
    assert (other.status_code, other.json()["code"]) == (409, "already-answered")
    arms = (await http.post(path, json=given)).json()["arms"]
    assert sorted((arm["version"], arm["label"]) for arm in arms.values()) == [
        ("2", "present"),
        ("9", "absent"),
    ]
    left = (await teller.get("/v1/adjudications/ich-triage")).json()
    assert (left["items"], left["workload"]["open"]) == ([], 0)
    (outcome,) = site.ledger.paired_truths.outcomes("ich-triage", "9", "2", FINDING)
    assert (outcome.champion_correct, outcome.candidate_correct) == (False, True)


async def test_an_item_that_is_not_there_is_not_answered(
    site: Site, http: httpx.AsyncClient, teller: httpx.AsyncClient
) -> None:
    await read_and_shadowed(site, http)
    (item,) = (await teller.get("/v1/adjudications/ich-triage")).json()["items"]
    given = {"label": "present", "reader": "reader-7"}
    missing = await teller.post(f"/v1/adjudications/items/{'0' * 32}", json=given)
    assert (missing.status_code, missing.json()["code"]) == (404, "adjudication-not-found")
    async with site.client(site.new_key("north", Scope.TRUTH_WRITE)) as other:
        assert (await other.get("/v1/adjudications/ich-triage")).json()["items"] == []
        assert (await other.post(f"/v1/adjudications/items/{item['id']}", json=given)).status_code == 404
    later = given | {"read_at": (now() + timedelta(days=1)).isoformat()}
    assert (await teller.post(f"/v1/adjudications/items/{item['id']}", json=later)).status_code == 422


async def test_versions_that_agree_are_asked_about_by_the_sample_only(
    site: Site, http: httpx.AsyncClient, teller: httpx.AsyncClient
) -> None:
    await read_and_shadowed(site, http, absent("2"))
    shown = (await teller.get("/v1/adjudications/ich-triage")).json()
    assert shown["workload"]["discordant_share"] == 0.0
    assert shown["workload"]["items_per_day"] == site.settings.adjudicate_concordant


async def test_what_no_version_in_service_said_is_not_read_again(
    site: Site, http: httpx.AsyncClient, teller: httpx.AsyncClient
) -> None:
    await read_and_shadowed(site, http)
    site.snapshot = a_snapshot(a_version("9"))
    assert (await teller.get("/v1/adjudications/ich-triage")).json()["items"] == []


async def test_neither_study_nor_reader_nor_note_reaches_a_log(
    site: Site, http: httpx.AsyncClient, teller: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "serinus")
    await read_and_shadowed(site, http)
    await tell(teller, note="a word about Anna")
    await tell(teller, 422, source="gossip")
    (item,) = (await teller.get("/v1/adjudications/ich-triage")).json()["items"]
    await teller.post(f"/v1/adjudications/items/{item['id']}", json={"label": "absent", "reader": "reader-7"})
    logged = "".join(f"{record.__dict__}" for record in caplog.records)
    kept = "".join(str(row) for row in site.ledger.audit.rows())
    for secret in (STUDY, "reader-7", "Anna"):
        assert secret not in logged
        assert secret not in kept


async def test_a_ledger_that_is_away_is_worth_another_try(site: Site, teller: httpx.AsyncClient) -> None:
    site.lose_the_ledger()
    for answer in (
        await teller.post(PATH, json=TRUTH),
        await teller.get(PATH),
        await teller.get("/v1/adjudications/ich-triage"),
    ):
        assert (answer.status_code, answer.json()["retryable"]) == (503, True)
        assert "Retry-After" in answer.headers
