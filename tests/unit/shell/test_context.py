"""What a caller says of a study comes back to him, may raise its priority, and reaches no log and no trace."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from core.errors import ModelFailed, SourceUnavailable, UnsupportedSeries
from core.retry import RetryPolicy
from imaging.report_sr import ReportContext
from serve_apps.settings import Settings
from tests.reports import source
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import BODY, Site
from tests.unit.shell.worker_fakes import Workshop, a_job, a_study

CONTEXT = {"service": "ED", "referrer": "Dr Hohenfels-Quiney"}
CT = source(slices=3)
RULES = ({"name": "ED first", "match": {"service": ["ED"]}, "priority": "stat"},)


@pytest.fixture
def ruled(tmp_path: Path) -> Site:
    return Site(tmp_path, priority_rules=RULES)


async def test_it_comes_back_in_the_job_and_in_the_result(site: Site, http: httpx.AsyncClient) -> None:
    job = (await http.post("/v1/jobs", json=BODY | {"context": CONTEXT})).json()
    assert job["context"] == CONTEXT
    site.finish(job["id"])
    assert (await http.get(f"/v1/jobs/{job['id']}")).json()["context"] == CONTEXT
    assert (await http.get(f"/v1/jobs/{job['id']}/results")).json()["context"] == CONTEXT


async def test_a_result_that_another_job_made_has_the_context_of_its_own_caller(
    site: Site, http: httpx.AsyncClient
) -> None:
    first = (await http.post("/v1/jobs", json=BODY | {"context": CONTEXT})).json()["id"]
    site.finish(first)
    second = (await http.post("/v1/jobs", json=BODY | {"context": {"ward": "7B"}})).json()["id"]
    claimed = site.ledger.leases.claim(second, "t", 60)
    assert claimed is not None
    result = {**site.ledger.jobs.result(first), "same_as": first}
    site.ledger.leases.complete_as(
        claimed.token, first, result=result, deliveries_to_make=(), stages_s={}, model="ich-triage"
    )
    assert (await http.get(f"/v1/jobs/{second}/results")).json()["context"] == {"ward": "7B"}


async def test_a_rule_of_the_site_raises_its_priority_and_explain_says_which(ruled: Site) -> None:
    async with ruled.client() as http:
        raised = (await http.post("/v1/jobs", json=BODY | {"context": CONTEXT})).json()
        plain = (await http.post("/v1/jobs", json=BODY | {"context": {"service": "ward"}})).json()
        words = [
            (await http.get(f"/v1/jobs/{job['id']}/explain")).json()["priority"] for job in (raised, plain)
        ]
    assert (raised["priority"], raised["priority_rule"]) == ("stat", "ED first")
    assert (plain["priority"], plain["priority_rule"]) == ("routine", None)
    assert words == ["The rule 'ED first' made it stat; its caller asked for routine.", None]
    assert [due.id for due in ruled.ledger.leases.due(9, unclaimed_s=0)] == [raised["id"], plain["id"]]


async def test_the_same_request_is_one_job_whatever_a_rule_made_of_it(ruled: Site) -> None:
    body, key = BODY | {"context": CONTEXT}, {"Idempotency-Key": "k1"}
    async with ruled.client() as http:
        first, again, joined = [
            (await http.post("/v1/jobs", json=body, headers=headers)).json()["id"]
            for headers in (key, key, {})
        ]
    assert first == again == joined


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "x", "match": {}, "priority": "stat"},
        {"name": "x", "match": {"service": []}, "priority": "stat"},
        {"name": "x", "match": {"service": "ED"}, "priority": "soon"},
        {"name": "x", "match": {"service": "ED"}, "priority": "stat", "may_lowr": True},
    ],
    ids=["no entry", "no value", "no such priority", "a word that is misspelt"],
)
def test_a_rule_that_makes_no_sense_is_refused_when_the_site_starts(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(priority_rules=(rule,))  # type: ignore[arg-type]


def test_one_value_of_a_rule_needs_no_list() -> None:
    (rule,) = Settings(
        priority_rules=({"name": "x", "match": {"service": "ED"}, "priority": "stat"},)
    ).priority_rules  # type: ignore[arg-type]
    assert rule.rule.match == {"service": ("ED",)}


@pytest.mark.parametrize(
    "error",
    [None, UnsupportedSeries("no series"), SourceUnavailable("away"), ModelFailed("NaN"), KeyError("x")],
)
async def test_no_log_and_no_record_of_a_job_holds_it(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """However it ends; every field of every log line and of the record is searched."""
    job = a_job(context=CONTEXT, callback="https://ris/done", outputs=("json", "failure-sr"))
    shop = Workshop(
        job,
        snapshot=a_snapshot(replace(a_version("1"), may_answer=True)),
        policy=RetryPolicy(model_failed_attempts=1),
    )
    shop.deployments.study = replace(a_study(), context=ReportContext.of(CT), geometry=CT.geometry)
    shop.deployments.fetch_errors = [error] if error else []  # type: ignore[list-item]
    with caplog.at_level(logging.DEBUG):
        await shop.runner.run(job.id, job.place)
    assert shop.recorded
    said = [str(vars(record)) + record.getMessage() for record in caplog.records]
    assert said
    assert not [text for text in (*said, str(shop.ledger.records)) if "Hohenfels" in text]


async def test_no_log_of_a_submission_holds_it(ruled: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with ruled.client() as http:
            await http.post("/v1/jobs", json=BODY | {"context": CONTEXT})
            await http.post("/v1/jobs", json=BODY | {"context": CONTEXT, "source": "nowhere"})
            await http.post("/v1/jobs", json=BODY | {"context": CONTEXT | {"x": 1}})
    assert not [record for record in caplog.records if "Hohenfels" in str(vars(record)) + record.getMessage()]
