"""A unit test reaches no network and no cluster: both raise. A new ledger's file is a copy of one that is ready."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

import ledger.database
from ledger import Ledger
from ledger.engines import engine_of

MAKES_SCHEMA = ("test_database", "test_migrations")  # modules whose ledgers make their schema themselves


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a unit test must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a unit test must not start Ray")

    import ray

    monkeypatch.setattr(ray, "init", refuse)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger that holds nothing yet. To make its schema takes eight times as long as to copy it."""
    file = tmp_path_factory.mktemp("empty-ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture(autouse=True)
def ready_ledgers(
    request: pytest.FixtureRequest, empty_ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine_of_copy(url: sa.URL, patience_s: float) -> sa.Engine:
        engine = engine_of(url, patience_s)
        file = Path(url.database or ":memory:")
        if file.is_file() and file.stat().st_size == 0:
            shutil.copyfile(empty_ledger, file)
        return engine

    if request.module.__name__.rpartition(".")[2] not in MAKES_SCHEMA:
        monkeypatch.setattr(ledger.database, "engine_of", engine_of_copy)
