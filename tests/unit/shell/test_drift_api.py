"""Drift by HTTP: nobody is told that all is well before a person has said what is normal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core.clock import now
from ledger import DriftSeen, SignalSeen, StoredVerdict
from ledger.drift_readings import SLICE_S
from observability.drift.counters import slice_of
from observability.drift.verdict import DriftState
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


async def test_an_alarm_stands_in_the_status_until_a_person_has_looked(
    site: Site, http: httpx.AsyncClient
) -> None:
    assert (await http.post(f"{PATH}/acknowledge", json={})).status_code == 404, "nobody judged it yet"
    seen = DriftSeen(DriftState.ALARM, "noise_hu at all sites has drifted.", 3.6, 20_000)
    site.ledger.drift_verdicts.keep(
        StoredVerdict("ich-triage", "1", 1, 20_001, None, seen), actor="drift-watch"
    )
    alarms = await site.services.overview.alarms()
    assert alarms["ich-triage/drift 1"].startswith("noise_hu at all sites has drifted.")
    async with site.client(site.reader_key) as reader:
        assert (await reader.post(f"{PATH}/acknowledge", json={})).status_code == 403
    answer = await http.post(f"{PATH}/acknowledge", json={}, headers={"X-Serinus-Actor": "bo"})
    assert (answer.status_code, answer.json()["state"], answer.json()["version"]) == (200, "alarm", "1")
    assert "ich-triage/drift 1" not in await site.services.overview.alarms()
    (row,) = [
        row for row in site.ledger.audit.rows(subject="ich-triage") if row.action == "drift.acknowledge"
    ]
    assert row.actor == "ris/bo"


async def test_a_scrape_tells_what_the_last_look_found(site: Site) -> None:
    signals = (SignalSeen("noise_hu", 4.5, 0.3), SignalSeen("kvp", None, 0.0))
    seen = DriftSeen(DriftState.ALARM, "It has drifted.", 3.6, 20_000, signals)
    for version in ("1", "99"):
        site.ledger.drift_verdicts.keep(
            StoredVerdict("ich-triage", version, 1, 20_001, None, seen), actor="drift-watch"
        )
    text = await site.services.metrics.exposition()
    told = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("serinus_drift")
    }
    assert told["serinus_drift_state", "1", "alarm", "ich-triage"] == 1.0
    assert told["serinus_drift_armed", "1", "ich-triage", "kvp"] == 0.0
    assert told["serinus_drift_log_evidence", "1", "ich-triage", "noise_hu"] == 4.5
    assert told["serinus_drift_psi", "1", "ich-triage", "noise_hu"] == 0.3
    assert not any("99" in labels for labels in told), "it serves nobody"
