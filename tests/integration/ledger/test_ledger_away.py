"""The ledger's database is shut down and comes back: callers hear 503 and when to come again, and no job is lost.

The routes, and a worker's runner, as the deployments have them, over a real PostgreSQL; reader and models are fakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger import JobState, Ledger, TakenTurn
from tests.postgres import Postgres
from tests.unit.shell.inline import settle
from tests.unit.shell.site import BODY, Site
from tests.unit.shell.worker_fakes import Workshop

ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/v1/jobs", BODY),
    ("GET", "/v1/jobs/{job}?wait=1", None),
    ("GET", "/v1/jobs/{job}/results", None),
    ("GET", "/readyz", None),
)


class Rows:
    """What a runner asks of the ledger, in one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def take_turn(self, token: str, key: str) -> TakenTurn:
        return self._ledger.readings.take_turn(token, key)

    def __getattr__(self, name: str) -> Any:
        part = self._ledger.leases if hasattr(self._ledger.leases, name) else self._ledger.jobs
        return getattr(part, name)


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One of its own, since it is mistreated."""
    with Postgres() as started:
        yield started


@pytest.fixture
def site(server: Postgres, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, ledger_url=server.new_database())
    yield made
    made.close()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.client() as client:
        yield client


async def accepted(http: httpx.AsyncClient, study: str) -> str:
    answer = await http.post("/v1/jobs", json=BODY | {"study_uid": study, "outputs": ["json"]})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["id"])


async def test_callers_hear_when_to_come_again_and_all_that_was_accepted_is_read_once(
    server: Postgres, site: Site, http: httpx.AsyncClient
) -> None:
    shop = Workshop(ledger=Rows(site.ledger))
    under_way, waiting = await accepted(http, "1.2.3"), await accepted(http, "1.2.4")
    answers = shop.deployments.hanging["1"] = asyncio.Event()
    reading = shop.begin(site.ledger.jobs.get(under_way))
    await settle()
    assert site.ledger.jobs.get(under_way).state is JobState.RUNNING

    server.stop()
    for method, path, body in ROUTES:
        answer = await http.request(method, path.format(job=under_way), json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-unavailable"), path
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["retryable"]
    assert (await http.get("/healthz")).status_code == httpx.codes.OK
    shop.keeper.renew_once()  # no lease is given up
    answers.set()  # the analysis ends while nothing can be written
    await settle()
    assert not reading.done()

    await asyncio.to_thread(server.start)
    assert (await reading).state is JobState.COMPLETED
    second = await shop.runner.run(waiting, site.ledger.jobs.get(waiting).place)
    assert second.state is JobState.COMPLETED
    assert [site.ledger.jobs.get(job).attempt for job in (under_way, waiting)] == [1, 1]
    assert len(shop.deployments.fetches) == 2, "what was read was not read again"
    assert (await http.get("/readyz")).status_code == httpx.codes.OK
