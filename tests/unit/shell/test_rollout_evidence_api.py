"""Evidence packs by HTTP: as JSON and as a page, for whoever may read, and beside the event loop."""

from __future__ import annotations

import threading

import httpx
import pytest

from serve_apps.api.rollout_schemas import EvidencePackOut
from serve_apps.application.callers import Scope
from serve_apps.application.evidence_seal import look_at, read_pack
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.shell.evidence_pack_sample import SIGNER
from tests.unit.shell.site import Site

PACK = "/v1/rollouts/chest-ct/evidence"


@pytest.fixture
def begun_site(site: Site) -> Site:
    site.ledger.rollouts.begin(plan(), begun(), actor="ris/ada")
    return site


async def test_a_pack_comes_as_json_that_is_whole(begun_site: Site, http: httpx.AsyncClient) -> None:
    answer = await http.get(PACK)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found = look_at(read_pack(answer.content))
    assert (found.faults, found.public_key) == ((), None)
    told = EvidencePackOut.model_validate_json(answer.content)
    assert told.records[0].content["model"] == "chest-ct"
    assert (await http.get(PACK, params={"run": 1})).json()["records"][:-1] == answer.json()["records"][:-1]


async def test_a_site_with_a_key_signs(site: Site) -> None:
    site.ledger.rollouts.begin(plan(), begun(), actor="ris/ada")
    site.signer = SIGNER
    site.services = site._services(site.settings.state_dir)
    async with site.client() as client:
        found = look_at((await client.get(PACK)).json())
    assert (found.faults, found.public_key) == ((), SIGNER.public_key)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/json, text/html", "application/json"),
    ],
)
async def test_the_form_is_the_first_that_is_asked_for(
    begun_site: Site, http: httpx.AsyncClient, accept: str, media: str
) -> None:
    answer = await http.get(PACK, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if "html" in media:
        assert answer.text.startswith("<!doctype html>")
        assert "Version 2 against version 1" in answer.text


async def test_another_form_is_not_acceptable(begun_site: Site, http: httpx.AsyncClient) -> None:
    answer = await http.get(PACK, headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{PACK}?run=2", 404),
        ("/v1/rollouts/other/evidence", 404),
        (f"{PACK}?run=0", 422),
        (f"{PACK}?run={2**31}", 422),
        (f"{PACK}?run=first", 422),
        ("/v1/rollouts/.hidden/evidence", 422),
    ],
)
async def test_what_there_is_not_is_told(
    begun_site: Site, http: httpx.AsyncClient, path: str, status: int
) -> None:
    for accept in ("application/json", "text/html"):
        answer = await http.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_reader_may_have_it_and_nobody_else(begun_site: Site) -> None:
    sender = begun_site.new_key("sender", Scope.STUDIES_WRITE)
    for key, status in ((begun_site.reader_key, 200), (sender, 403)):
        async with begun_site.client(key) as client:
            assert (await client.get(PACK)).status_code == status


async def test_it_is_made_beside_the_event_loop_and_writes_nothing(
    begun_site: Site, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    read, of_run = begun_site.ledger.database.write, begun_site.ledger.rollouts.approvals

    def approvals(model: str, run: int) -> object:
        threads.append(threading.current_thread())
        return of_run(model, run)

    def write() -> object:
        raise AssertionError("a pack writes nothing")

    monkeypatch.setattr(begun_site.ledger.rollouts, "approvals", approvals)
    begun_site.ledger.database.write = write  # type: ignore[method-assign, assignment]
    assert (await http.get(PACK)).status_code == 200
    begun_site.ledger.database.write = read  # type: ignore[method-assign]
    assert threads
    assert threading.main_thread() not in threads


async def test_a_ledger_that_is_away_is_told(begun_site: Site, http: httpx.AsyncClient) -> None:
    begun_site.lose_the_ledger()
    answer = await http.get(PACK)
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable")
