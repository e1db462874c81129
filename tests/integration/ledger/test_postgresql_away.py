"""A PostgreSQL that is killed, or frozen in the middle of it: away within seconds, and back without a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from core.errors import LedgerUnavailable
from core.study import StudyRef
from ledger import JobRequest, Ledger
from ledger.database import Database
from tests.postgres import Postgres

PATIENCE_S = 1.0
SOON_S = 5.0  # patience, a new connection, and a busy machine


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One of its own, since it is mistreated."""
    with Postgres() as started:
        yield started


@pytest.fixture
def ledger(server: Postgres) -> Iterator[Ledger]:
    opened = Ledger(Database(server.new_database(), patience_s=PATIENCE_S))
    yield opened
    opened.close()


def submit(ledger: Ledger) -> str:
    request = JobRequest(StudyRef("pacs", "1.2.840.99"))
    return ledger.jobs.submit(request, idempotency_key=None, tenant="ris").job.id


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """Every process of the server is stopped: its sockets accept, and nobody answers."""
    assert server._process is not None
    main = psutil.Process(server._process.pid)
    processes = [main, *main.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def test_a_server_that_is_silent_is_away_within_seconds_and_back_when_it_speaks(
    server: Postgres, ledger: Ledger
) -> None:
    first = submit(ledger)
    with frozen(server):
        for ask in (lambda: submit(ledger), ledger.jobs.open_jobs, ledger.control.head):
            started = time.monotonic()
            with pytest.raises(LedgerUnavailable) as away:
                ask()
            assert time.monotonic() - started < SOON_S
            assert "1.2.840.99" not in str(away.value)
    assert ledger.jobs.get(first).id == first
    submit(ledger)


def test_a_lock_that_somebody_holds_too_long_is_away(server: Postgres, ledger: Ledger) -> None:
    with ledger.database.write() as connection:
        ledger.database.serialise(connection, "audit")
        started = time.monotonic()
        with pytest.raises(LedgerUnavailable):
            ledger.audit.append("alice", "set-alias", "ich", {})
        assert time.monotonic() - started < SOON_S
    ledger.audit.append("alice", "set-alias", "ich", {})


def test_a_server_whose_sessions_were_killed_is_asked_again(server: Postgres, ledger: Ledger) -> None:
    submit(ledger)
    assert server._process is not None
    for session in psutil.Process(server._process.pid).children():
        if "serinus" in " ".join(session.cmdline()):
            session.terminate()
    time.sleep(0.2)
    submit(ledger)


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(LedgerUnavailable):
        Ledger(Database("postgresql+psycopg://serinus@127.0.0.1:9/ledger"))
