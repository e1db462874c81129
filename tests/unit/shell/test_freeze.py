"""The kill switch by HTTP: obeyed without the controller and without the ledger, and honest about who confirmed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from core.errors import LedgerUnavailable
from ledger import Freeze
from serve_apps.application.freeze import FreezeService
from serve_apps.application.routing_snapshot import FreezeNotice
from tests.unit.shell.inline import Here
from tests.unit.shell.site import BODY, Site

DRILL = {"reason": "a drill"}


async def test_a_freeze_says_who_confirmed_it_and_that_it_is_recorded(
    site: Site, http: httpx.AsyncClient
) -> None:
    answer = await http.put("/v1/freeze", json=DRILL, headers={"X-Serinus-Actor": "ada"})
    assert answer.status_code == 200
    assert answer.json() == {
        "frozen": True,
        "recorded": True,
        "confirmed": [
            {"deployment": "Ingress", "replicas": 2},
            {"deployment": "JobWorker", "replicas": 1},
        ],
        "unconfirmed": 0,
    }
    frozen = site.ledger.routing.frozen()
    assert frozen is not None
    assert (frozen.actor, frozen.reason) == ("ris/ada", "a drill")


async def test_a_freeze_asks_no_controller(site: Site, http: httpx.AsyncClient) -> None:
    await http.put("/v1/freeze", json=DRILL)
    assert site.announced == 0
    assert site.replicas.notices[0] == FreezeNotice(True, None)


async def test_a_replica_that_hears_of_a_freeze_late_hears_how_it_is_recorded_too(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Else one that obeys a freeze without a revision would hold it when the ledger has ended it long ago."""
    await http.put("/v1/freeze", json=DRILL)
    assert site.replicas.notices == [FreezeNotice(True), FreezeNotice(True, site.ledger.routing.revision())]


class Record:
    """`ledger.routing`, away at first."""

    def __init__(self) -> None:
        self.is_away = True
        self.frozen: list[tuple[str, str]] = []

    def freeze(self, *, actor: str, reason: str) -> Freeze:
        if self.is_away:
            raise LedgerUnavailable("the database does not answer")
        self.frozen.append((actor, reason))
        return Freeze(actor, reason, datetime(2026, 5, 1, tzinfo=UTC), 7)

    def unfreeze(self, *, actor: str) -> int:
        return 8


async def test_a_freeze_is_recorded_once_the_ledger_is_back(site: Site) -> None:
    """A replica that starts then asks the ledger, and nobody else."""
    record = Record()
    freeze = FreezeService(record, site.replicas, Here())
    assert not (await freeze.freeze("drill", "ada")).recorded
    await freeze.record_pending()
    record.is_away = False
    for _ in range(2):
        await freeze.record_pending()
    assert record.frozen == [("ada", "drill")]
    assert site.replicas.notices[-1] == FreezeNotice(True, 7)


async def test_a_freeze_that_somebody_ended_meanwhile_is_not_recorded_later(site: Site) -> None:
    record, is_unrecorded = Record(), True
    freeze = FreezeService(record, site.replicas, Here(), is_unrecorded=lambda: is_unrecorded)
    await freeze.freeze("drill", "ada")
    record.is_away, is_unrecorded = False, False
    await freeze.record_pending()
    is_unrecorded = True
    await freeze.record_pending()
    assert record.frozen == []


async def test_without_the_ledger_a_freeze_holds_when_every_replica_confirmed(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.lose_the_ledger()
    answer = await http.put("/v1/freeze", json=DRILL)
    assert (answer.status_code, answer.json()["recorded"], answer.json()["unconfirmed"]) == (200, False, 0)


async def test_a_ledger_that_hangs_holds_no_freeze_up(site: Site) -> None:
    hanging = HangingRecord()
    with ThreadPoolExecutor(1) as threads:
        outcome = await FreezeService(hanging, site.replicas, threads, record_s=0.01).freeze("drill", "ada")
        hanging.end.set()
    assert (outcome.recorded, outcome.unconfirmed, outcome.holds) == (False, 0, True)
    assert site.replicas.notices == [FreezeNotice(True)]


class HangingRecord:
    """A database that does not answer before `end` is set."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def freeze(self, *, actor: str, reason: str) -> Freeze:
        self.end.wait(30)
        raise LedgerUnavailable("the database does not answer")

    def unfreeze(self, *, actor: str) -> int:
        raise AssertionError("nobody unfreezes")


@pytest.mark.parametrize(
    ("alive", "slow"),
    [({"Ingress": 2, "JobWorker": 2}, {"JobWorker": 1}), ({"Ingress": 1, "JobWorker": 0}, {})],
)
async def test_a_freeze_that_may_not_hold_is_503_with_what_is_known(
    site: Site, http: httpx.AsyncClient, alive: dict[str, int], slow: dict[str, int]
) -> None:
    site.lose_the_ledger()
    site.replicas.alive, site.replicas.slow = alive, slow
    answer = await http.put("/v1/freeze", json=DRILL)
    assert (answer.status_code, answer.json()["code"]) == (503, "freeze-unconfirmed")
    assert (answer.json()["frozen"], answer.json()["recorded"]) == (True, False)
    assert answer.json()["unconfirmed"] == sum(slow.values())
    assert answer.headers["Retry-After"]


async def test_a_recorded_freeze_holds_though_a_replica_was_slow(site: Site, http: httpx.AsyncClient) -> None:
    site.replicas.slow = {"Ingress": 1}
    answer = await http.put("/v1/freeze", json=DRILL)
    assert (answer.status_code, answer.json()["recorded"], answer.json()["unconfirmed"]) == (200, True, 1)


async def test_an_unfreeze_is_recorded_before_anybody_obeys_it(site: Site, http: httpx.AsyncClient) -> None:
    await http.put("/v1/freeze", json=DRILL)
    answer = await http.delete("/v1/freeze")
    assert (answer.status_code, answer.json()["frozen"], answer.json()["recorded"]) == (200, False, True)
    assert site.replicas.notices[-1] == FreezeNotice(False, site.ledger.routing.revision())
    site.lose_the_ledger()
    await http.put("/v1/freeze", json=DRILL)
    assert (await http.delete("/v1/freeze")).status_code == 503
    assert site.replicas.notices[-1].frozen


async def test_a_tester_cannot_choose_a_variant_while_routing_is_frozen(
    site: Site, http: httpx.AsyncClient
) -> None:
    await http.put("/v1/freeze", json=DRILL)
    for body in (BODY, {"study_uid": BODY["study_uid"], "source": "samples"}):
        answer = await http.post("/v1/jobs", json=body, headers={"X-Serinus-Variant": "canary"})
        assert (answer.status_code, answer.json()["code"]) == (409, "routing-frozen")
    assert site.ledger.jobs.open_jobs() == 0
    assert (await http.post("/v1/jobs", json=BODY)).status_code == 202
