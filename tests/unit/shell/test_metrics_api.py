"""What Prometheus scrapes: with a key of its own, and never half of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core.errors import LedgerUnavailable
from serve_apps.application.callers import Scope
from tests.unit.observability.metrics.test_exposition import LABELS, LIVE
from tests.unit.shell.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def bearer(site: Site, *scopes: Scope) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.new_key('prometheus', *scopes)}"}


async def test_a_scrape_tells_what_was_read_and_how_the_site_stands(site: Site) -> None:
    site.ledger.study_records.add(LIVE)
    site.ledger.metrics.fold(1.0)
    async with site.client() as http:
        del http.headers["X-API-Key"]
        answer = await http.get("/metrics", headers=bearer(site, Scope.METRICS_READ))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = {
        (
            sample.name,
            *(sample.labels[label] for label in LABELS[family.name] if label in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["serinus_studies_total", "ich-triage", "CT", "ok", ""] == 1
    assert found["serinus_variant", "ich-triage", "1", "champion", "warm"] == 1
    assert found["serinus_alarms",] == 0


async def test_who_may_only_scrape_reads_nothing_else(site: Site) -> None:
    headers = bearer(site, Scope.METRICS_READ)
    async with site.client() as http:
        del http.headers["X-API-Key"]
        assert (await http.get("/v1/jobs", headers=headers)).status_code == 403
        assert (await http.get("/metrics", headers=bearer_of_another(site))).status_code == 403
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await http.get("/metrics", headers={"Authorization": "Basic cHJvbQ=="})).status_code == 401


def bearer_of_another(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.new_key('ris-reader', Scope.RESULTS_READ)}"}


async def test_while_the_ledger_is_away_a_scrape_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> object:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(site.ledger.metrics, "all", away)
    async with site.client() as http:
        assert (await http.get("/metrics")).status_code == 503
