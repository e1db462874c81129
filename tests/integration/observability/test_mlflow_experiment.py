"""The experiment that takes the traces is found, created or restored over MLflow's own REST interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.errors import RegistryUnavailable
from observability.recorder import Recorder
from observability.telemetry import build_telemetry, mlflow_experiment_id, mlflow_telemetry

from .test_otlp_export import a_study


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "a"),
    ]
    hosts = ["--allowed-hosts", f"127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, *store, *hosts], stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, server, folder / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the whole group: the CLI's death leaves uvicorn serving
        server.wait()


def wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise AssertionError(log.read_text()[-2000:])


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


async def test_mlflow_takes_a_study_and_shows_it_finished(mlflow_url: str) -> None:
    settings = mlflow_telemetry(mlflow_url, "ingested")
    recorder = Recorder(build_telemetry(settings))
    trace_id = recorder.record(a_study("st-jnzld2cdigvp3kwf"))
    await recorder.aclose(timeout_s=20)
    info = (
        httpx.get(f"{mlflow_url}/api/3.0/mlflow/traces/tr-{trace_id}", timeout=10).raise_for_status().json()
    )
    assert info["trace"]["trace_info"]["state"] == "OK"
    assert info["trace"]["trace_info"]["execution_duration"] == "0.100s"


def test_a_server_that_is_away_is_said_so_quickly() -> None:
    started = time.perf_counter()
    with pytest.raises(RegistryUnavailable):
        mlflow_experiment_id("http://127.0.0.1:9", "studies")
    assert time.perf_counter() - started < 3
