"""The experiment that takes the traces is found, created or restored over MLflow's own REST interface."""

from __future__ import annotations

import time

import httpx
import pytest

from core.errors import RegistryUnavailable
from observability.traces.mlflow_experiment import mlflow_experiment_id
from registry.server import EmbeddedServer


@pytest.fixture(scope="module")
def mlflow_url(mlflow_server: EmbeddedServer) -> str:
    return mlflow_server.url


def test_an_experiment_is_created_once_and_found_again(mlflow_url: str) -> None:
    first = mlflow_experiment_id(mlflow_url, "studies", timeout_s=10)
    assert first == mlflow_experiment_id(mlflow_url + "/", "studies", timeout_s=10)
    assert first != mlflow_experiment_id(mlflow_url, "other studies", timeout_s=10)


def test_a_deleted_experiment_is_restored(mlflow_url: str) -> None:
    experiment = mlflow_experiment_id(mlflow_url, "deleted", timeout_s=10)
    api = f"{mlflow_url}/api/2.0/mlflow/experiments"
    httpx.post(f"{api}/delete", json={"experiment_id": experiment}, timeout=10).raise_for_status()
    assert mlflow_experiment_id(mlflow_url, "deleted", timeout_s=10) == experiment
    stage = httpx.get(f"{api}/get", params={"experiment_id": experiment}, timeout=10).json()["experiment"]
    assert stage["lifecycle_stage"] == "active"


def test_a_server_that_is_away_is_said_so_quickly() -> None:
    started = time.perf_counter()
    with pytest.raises(RegistryUnavailable):
        mlflow_experiment_id("http://127.0.0.1:9", "studies")
    assert time.perf_counter() - started < 3
