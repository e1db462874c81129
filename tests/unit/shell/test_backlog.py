"""A backlog that grows too old, and deliveries that were given up, are alarms where people look."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from canary.disclosure import Role
from core.errors import PoisonStudy
from ledger import Delivery, ShadowTask
from serve_apps.application.backlog import backlog_alarms
from tests.unit.shell.shadows import a_claim
from tests.unit.shell.site import BODY, Site


@pytest.mark.parametrize(
    ("oldest_s", "alarm"),
    [(None, None), (3599.0, None), (3600.0, "the oldest shadow task has waited for 60 min")],
)
def test_a_shadow_that_waits_too_long_is_an_alarm(oldest_s: float | None, alarm: str | None) -> None:
    oldest = None if oldest_s is None else timedelta(seconds=oldest_s)
    assert backlog_alarms(oldest, 0, 3600.0).get("shadows") == alarm


def test_a_study_that_ends_each_process_that_reads_it_is_an_alarm() -> None:
    assert backlog_alarms(None, 0, 3600.0, poison_studies=2)["readers"].startswith("2 studies")
    assert backlog_alarms(None, 0, 3600.0) == {}


async def test_a_poison_study_stands_among_the_alarms_of_the_site(
    site: Site, http: httpx.AsyncClient
) -> None:
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    site.ledger.leases.fail(claimed.token, PoisonStudy.code, "two processes ended")
    assert "readers" in (await http.get("/v1/models")).json()["alarms"]
    assert (await http.get(f"/v1/jobs/{job}")).json()["error"]["code"] == "poison-study"
    assert (await http.get(f"/v1/jobs/{job}/results")).status_code == 422


async def test_both_stand_among_the_alarms_of_the_site(site: Site, http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/models")).json()["alarms"] == {}
    site.services.overview.shadow_alarm_s = 0.0
    job = (await http.post("/v1/jobs", json=BODY)).json()["id"]
    claimed = site.ledger.leases.claim(job, "t", 60)
    assert claimed is not None
    claim = a_claim(role=Role.SHADOW)
    site.ledger.leases.complete(
        claimed.token,
        result={},
        documents_by_kind={},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={},
        model="m",
        shadows=[ShadowTask(**{name: getattr(claim, name) for name in ShadowTask.__dataclass_fields__})],
    )
    (delivery,) = site.ledger.outbox.claim_of_job(job, "t", 60)
    site.ledger.outbox.delivery_failed(delivery.id, "t", "result-store-rejected", retry_at=None)
    alarms = (await http.get("/v1/models")).json()["alarms"]
    assert alarms["outbox"].startswith("1 deliveries were given up")
    assert alarms["shadows"].startswith("the oldest shadow task has waited")
