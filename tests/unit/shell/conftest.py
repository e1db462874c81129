"""A site and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from serve_apps.api.app import create_app
from tests.unit.shell.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(lambda: site.services), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://serinus", headers={"X-API-Key": site.key}
    ) as client:
        yield client
