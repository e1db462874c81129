"""One real embedded MLflow for all registry tests; tests that stop it start one of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.register import register_model
from registry.server import EmbeddedServer, start_embedded, stop_embedded
from registry.signing import ensure_keypair, load_signing_key, load_verify_key
from tests.integration.registry.tiny import tiny_package


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


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    ensure_keypair(folder / "signing.key", folder / "signing.pub")
    return folder / "signing.key", folder / "signing.pub"


@pytest.fixture(scope="session")
def signing_key(key_files: tuple[Path, Path]) -> Ed25519PrivateKey:
    return load_signing_key(key_files[0])


@pytest.fixture(scope="session")
def client(mlflow_server: EmbeddedServer) -> RegistryClient:
    return RegistryClient(mlflow_server.url)


@pytest.fixture(scope="session")
def tiny(mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey) -> ModelVersion:
    """A sound version, registered once; tests may not change it."""
    return register_model(tiny_package("tiny"), tracking_uri=mlflow_server.url, signing_key=signing_key)


@pytest.fixture
def cache_at(client: RegistryClient, key_files: tuple[Path, Path]) -> Callable[[Path], NodeCache]:
    return lambda folder: NodeCache(folder, client, load_verify_key(key_files[1]))
