"""What callers were answered is counted off their path: errors by code, and results that were given and fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import LedgerUnavailable
from ledger import Ledger
from observability.metrics.funnel import Step
from observability.metrics.instruments import API_ERRORS, FUNNEL, TURNAROUND_SECONDS
from serve_apps.adapters.tally_writer import TallyWriter
from serve_apps.application.callers import Scope
from serve_apps.application.edge_tally import ErrorTally, ResultTally
from tests.unit.shell.site import BODY, Site
from tests.unit.shell.worker_fakes import a_job

DICOM = {"Accept": "application/dicom"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def written(site: Site) -> dict[str, float]:
    """The steps and errors that the ledger knows after the next time of writing."""
    TallyWriter((site.services.results, site.services.errors), lambda: site.ledger).once()
    while site.ledger.metrics.fold(1.0):
        pass
    series = site.ledger.metrics.all()
    return {
        "/".join(labels): one.total
        for (name, labels), one in series.items()
        if name in (API_ERRORS.name, FUNNEL.name)
    }


async def test_a_result_that_is_fetched_was_delivered_and_opened_once(site: Site) -> None:
    async with site.client() as http:
        job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
        site.finish(job)
        await http.get(f"/v1/jobs/{job}")
        assert written(site) == {}, "to look how it stands opens nothing"
        for headers in ({}, DICOM, {}):
            assert (await http.get(f"/v1/jobs/{job}/results", headers=headers)).status_code == 200
            assert written(site) == {"ich-triage/delivered": 1, "ich-triage/opened": 1}
    assert site.ledger.metrics.all()[TURNAROUND_SECONDS.name, ("ich-triage", "routine")].observed == 1


async def test_a_caller_who_waits_is_given_the_result_and_has_opened_nothing(site: Site) -> None:
    async with site.client() as http:
        headers = {"Idempotency-Key": "k"}
        job = (await http.post("/v1/jobs", json=BODY, headers=headers)).json()["id"]
        site.finish(job)
        answer = await http.post("/v1/jobs", json=BODY, headers=headers | {"Prefer": "wait=5"})
    assert answer.status_code == 200
    assert written(site) == {"ich-triage/delivered": 1}


async def test_the_error_of_a_job_is_no_result(site: Site) -> None:
    async with site.client() as http:
        job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
        site.fail("model-error", job, {"failure-sr": b"DICM"})
        assert (await http.get(f"/v1/jobs/{job}/results")).status_code == 500
        document = await http.get(f"/v1/jobs/{job}/results?document=failure-sr", headers=DICOM)
    assert document.status_code == 200
    assert written(site) == {"model-error/500": 1}


async def test_every_error_is_counted_by_code_and_status_wherever_it_is_answered(site: Site) -> None:
    reader = site.new_key("who-reads", Scope.RESULTS_READ)
    async with site.client() as http:
        await http.get("/v1/jobs/0123")  # in a route
        await http.get("/v1/jobs/4567")
        await http.get("/nowhere")  # by no route
        await http.post("/v1/jobs", json={})  # by the schema
        await http.get("/v1/jobs", headers={"X-API-Key": "wrong"})  # by the edge
        await http.get("/metrics", headers={"X-API-Key": reader})  # by the scope
    assert written(site) == {
        "job-not-found/404": 2,
        "not-found/404": 1,
        "invalid-field/422": 1,
        "unauthenticated/401": 1,
        "forbidden/403": 1,
    }


class AwayOnce:
    """A ledger's part whose first write does not come through."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.is_away = True

    @property
    def metrics(self) -> object:
        self._require()
        return self._ledger.metrics

    @property
    def study_marks(self) -> object:
        self._require()
        return self._ledger.study_marks

    def _require(self) -> None:
        if self.is_away:
            raise LedgerUnavailable("away")


def test_what_the_ledger_did_not_take_is_written_the_next_time(site: Site) -> None:
    site.services.errors.note("overloaded", 429)
    site.services.results.opened(a_job(model="ich-triage"))
    ledger = AwayOnce(site.ledger)
    writer = TallyWriter((site.services.results, site.services.errors), lambda: ledger)  # type: ignore[arg-type,return-value]
    writer.once()
    assert site.ledger.metrics.all() == {}
    ledger.is_away = False
    writer.once()
    site.services.errors.note("overloaded", 429)
    assert written(site) == {"overloaded/429": 2, "ich-triage/delivered": 1, "ich-triage/opened": 1}


def test_replicas_add_up(site: Site) -> None:
    for _ in range(3):
        errors, results = ErrorTally(), ResultTally(lambda uid: f"st-{uid}")
        errors.note("overloaded", 429)
        results.opened(a_job(model="ich-triage"))
        errors.write(site.ledger)
        results.write(site.ledger)
    assert written(site) == {"overloaded/429": 3, "ich-triage/delivered": 1, "ich-triage/opened": 1}


def test_the_last_is_written_at_the_end(site: Site) -> None:
    writer = TallyWriter((site.services.errors,), lambda: site.ledger, every_s=3600)
    writer.follow()
    site.services.errors.note("overloaded", 429)
    writer.close()
    assert site.ledger.metrics.all()[API_ERRORS.name, ("overloaded", "429")].total == 1


def test_a_job_of_which_no_model_is_known_is_not_counted() -> None:
    results = ResultTally(str)
    results.given(a_job(model=""))
    assert not results._waiting
    results.given(a_job(model=""), "ich-triage")
    assert [step for _, _, step in results._waiting] == [Step.DELIVERED]
