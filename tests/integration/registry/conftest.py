"""A signed version in the MLflow of all integration tests, and caches that verify it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.register import register_model
from registry.server import EmbeddedServer
from registry.signing import ensure_keypair, load_signing_key, load_verify_key
from tests.integration.registry.tiny import tiny_package


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
