"""One real embedded MLflow for all integration tests; tests that stop it start one of their own."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from registry.server import EmbeddedServer, database_of, start_embedded, stop_embedded


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry") / "mlflow"


@pytest.fixture(scope="session")
def mlflow_server(mlflow_folder: Path, free_port: Callable[[], int]) -> Iterator[EmbeddedServer]:
    server = start_embedded(mlflow_folder, free_port())
    try:
        yield server
    finally:
        stop_embedded(mlflow_folder)


@pytest.fixture
def own_folder(mlflow_server: EmbeddedServer, mlflow_folder: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder for a server of the test's own, whose database is migrated already: that takes ten seconds."""
    folder = tmp_path / "mlflow"
    folder.mkdir()
    with (
        closing(sqlite3.connect(database_of(mlflow_folder))) as original,
        closing(sqlite3.connect(database_of(folder))) as copy,
    ):
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=WAL")
    shutil.copy(mlflow_folder / "migrated", folder)
    shutil.copy(mlflow_folder / "webhook.key", folder)
    try:
        yield folder
    finally:
        stop_embedded(folder)
