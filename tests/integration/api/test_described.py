"""The real routes over a real ledger do what their own description says, whatever is sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from serve_apps.embedded.ports import free_ports
from tests.described.run import assert_nothing_is_found
from tests.stack import eventually
from tests.unit.shell.site import Site, the_app

SECONDS = 40


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site where nobody waits for a result: there are no workers."""
    site = Site(tmp_path, max_waiting_callers=0)
    yield site
    site.close()


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    app = the_app()
    app.state.find_services = lambda: site.services
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    eventually(lambda: server.started or None, 20, "the server to start")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def test_schemathesis_finds_nothing(site: Site, url: str) -> None:
    assert_nothing_is_found(url, site.key, seconds=SECONDS)
