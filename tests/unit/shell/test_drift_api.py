"""Drift by HTTP: nobody is told that all is well before a person has said what is normal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from core.clock import now
from ledger.drift_readings import SLICE_S
from observability.drift.counters import slice_of
from serve_apps.application.drift import DriftService
from serve_apps.application.executors import run_in
from tests.unit.observability.metrics.test_exposition import LIVE
from tests.unit.shell.site import Site

PATH = "/v1/drift/ich-triage"
READ_BY_CHAMPION = replace(LIVE, records=tuple(replace(one, version="1") for one in LIVE.records[1:]))


@pytest.fixture
def tomorrow(site: Site) -> None:
    """The day on which the studies of today are over."""
    drift = site.services.drift
    later = DriftService(site.ledger, lambda: site.snapshot, site.threads, lambda: now() + timedelta(days=1))
    site.services = replace(site.services, drift=later)
    assert drift is not later


def read(site: Site, studies: int) -> None:
    for _ in range(studies):
        site.ledger.study_records.add(READ_BY_CHAMPION)
    while site.ledger.drift.fold():
        pass


async def test_before_anybody_said_what_is_normal_there_is_no_report(http: httpx.AsyncClient) -> None:
    answer = await http.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-drift-reference")


async def test_days_on_which_nothing_was_read_cannot_be_accepted(http: httpx.AsyncClient) -> None:
    answer = await http.put(f"{PATH}/reference", json={"days": 7})
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/days")


async def test_a_reference_that_is_too_small_arms_nothing_and_says_so(
    site: Site, http: httpx.AsyncClient, tomorrow: None
) -> None:
    read(site, 3)
    accepted = await http.put(f"{PATH}/reference", json={"days": 28}, headers={"X-Serinus-Actor": "ada"})
    assert accepted.status_code == 200
    told = accepted.json()
    assert (told["number"], told["studies"], told["days"], told["accepted_by"]) == (1, 3, 1, "ris/ada")
    report = (await http.get(PATH)).json()
    assert (report["state"], report["log10_m"]) == ("not-armed", None)
    assert "3 of 1000 reference studies" in report["sentence"]
    assert {one["signal"]: sum(one["reference"]) for one in report["signals"]}["outcome"] == 3


async def test_the_report_is_a_page_for_who_asks_for_one(
    site: Site, http: httpx.AsyncClient, tomorrow: None
) -> None:
    read(site, 1)
    await http.put(f"{PATH}/reference", json={"days": 1, "version": "1"})
    page = await http.get(f"{PATH}?version=1", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "ich-triage" in page.text
    assert (await http.get(PATH, headers={"Accept": "image/png"})).status_code == 406


async def test_only_an_administrator_says_what_is_normal(site: Site, http: httpx.AsyncClient) -> None:
    async with site.client(site.reader_key) as reader:
        assert (await reader.put(f"{PATH}/reference", json={"days": 1})).status_code == 403
    assert (await http.put(f"{PATH}/reference", json={"days": 0})).status_code == 422
    assert (await http.get("/v1/drift/nobody")).status_code in (404, 422)


async def test_yesterday_is_the_last_day_that_is_judged(site: Site, tomorrow: None) -> None:
    read(site, 1)
    await site.services.drift.accept("ich-triage", "1", 1, actor="admin/ada")
    report = await site.services.drift.report("ich-triage", None)
    assert report.until == slice_of(int(now().timestamp()), SLICE_S)
    assert await run_in(site.threads, site.ledger.drift_references.newest, "ich-triage", "1") is not None
