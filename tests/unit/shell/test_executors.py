"""Blocking work runs in threads of its own: not in the event loop, and not in the pool that Serve shares with all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

import httpx
import pytest

from core.errors import LedgerUnavailable
from serve_apps.application.executors import LedgerThreads, run_in
from tests.unit.shell.site import Site
from tests.unit.shell.test_unready import NEEDS_THE_LEDGER

SEEN: ContextVar[str] = ContextVar("seen", default="")


class WatchedLedger:
    """Notes in which thread the site's database is asked."""

    def __init__(self, site: Site) -> None:
        self.threads: set[str] = set()
        self._read, self._write = site.ledger.database.read, site.ledger.database.write
        site.ledger.database.read = self.read  # type: ignore[method-assign]
        site.ledger.database.write = self.write  # type: ignore[method-assign]

    def read(self) -> AbstractContextManager[Any]:
        self.threads.add(threading.current_thread().name.rsplit("_", 1)[0])
        return self._read()

    def write(self) -> AbstractContextManager[Any]:
        self.threads.add(threading.current_thread().name.rsplit("_", 1)[0])
        return self._write()


@pytest.mark.parametrize(("method", "path", "body"), NEEDS_THE_LEDGER, ids=str)
async def test_the_ledger_is_asked_in_its_own_threads(
    site: Site, http: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    watched = WatchedLedger(site)
    await http.request(method, path, json=body)
    assert watched.threads == {"ledger"}


async def test_a_call_keeps_the_context_of_its_caller() -> None:
    SEEN.set("trace-1")
    with ThreadPoolExecutor(1) as threads:
        assert await run_in(threads, SEEN.get) == "trace-1"


async def test_a_ledger_that_hangs_is_told_to_those_who_wait_behind_it_and_not_asked_by_them() -> None:
    now, is_back, asked = [0.0], threading.Event(), []
    with LedgerThreads(1, patience_s=5.0, clock=lambda: now[0]) as threads:
        hanging = threads.submit(is_back.wait, 10)
        late = [threads.submit(asked.append, number) for number in range(100)]
        now[0] = 5.1
        young = threads.submit(asked.append, "young")
        is_back.set()
        assert hanging.result(10)
        for call in late:
            with pytest.raises(LedgerUnavailable):
                call.result(10)
        young.result(10)
    assert asked == ["young"]
