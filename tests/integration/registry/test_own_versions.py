"""A network of one's own on a real MLflow: registered by its files, or logged by MLflow's own writer and signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient

from core.errors import ModelRefused
from models.spec import spec_to_json
from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.loading import load_network
from registry.package import DatasetRef, FilePackage
from registry.register import register_model
from registry.server import EmbeddedServer
from registry.sign_version import Missing, sign_version
from tests.integration.registry.test_network_file import exported
from tests.integration.registry.tiny import SIZE, TinyNetwork, tiny_spec

CPU = torch.device("cpu")
CacheAt = Callable[[Path], NodeCache]
EXAMPLE = np.zeros((2, 1, SIZE, SIZE), np.float32)


def answers_as_the_module(cached: Any) -> None:
    loaded = load_network(cached, CPU)
    assert loaded.max_batch == 4
    items = torch.rand(3, 1, SIZE, SIZE)
    with torch.inference_mode():
        assert torch.allclose(loaded.network(items), TinyNetwork().eval()(items), atol=1e-5)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_is_registered_with_its_provenance_and_serves(
    mlflow_server: EmbeddedServer,
    signing_key: Ed25519PrivateKey,
    cache_at: CacheAt,
    tmp_path: Path,
    suffix: str,
) -> None:
    name = f"own-{suffix[1:]}"
    package = FilePackage(
        spec=tiny_spec(name),
        card="# Own",
        network=exported(tmp_path, TinyNetwork(), suffix),
        metrics={"evaluation": {"auc": 0.75}},
        datasets=(DatasetRef("evaluation", "0123abcd", "evaluation.npz", "testing"),),
    )
    version = register_model(package, tracking_uri=mlflow_server.url, signing_key=signing_key)
    answers_as_the_module(cache_at(tmp_path / "cache").fetch(name, version.version))
    (metric,) = MlflowClient(mlflow_server.url).get_logged_model(version.model_id).metrics
    assert (metric.key, metric.dataset_name, metric.dataset_digest) == (
        "evaluation/auc",
        "evaluation",
        "0123abcd",
    )


def test_nothing_is_written_of_a_file_that_a_replica_would_refuse(
    mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey, client: RegistryClient, tmp_path: Path
) -> None:
    before = len(runs(mlflow_server))
    network = exported(tmp_path, TinyNetwork(), is_open=False)
    package = FilePackage(spec=tiny_spec("own-refused"), card="c", network=network)
    with pytest.raises(ModelRefused, match="items at once"):
        register_model(package, tracking_uri=mlflow_server.url, signing_key=signing_key)
    assert "own-refused" not in client.models()
    assert len(runs(mlflow_server)) == before


def runs(server: EmbeddedServer) -> list[Any]:
    mlflow_client = MlflowClient(server.url)
    experiments = [experiment.experiment_id for experiment in mlflow_client.search_experiments()]
    return list(mlflow_client.search_runs(experiments))


def logged(server: EmbeddedServer, name: str, flavor: str, tmp_path: Path, **metadata: Any) -> str:
    """The number of a version that was logged as MLflow's documentation says."""
    mlflow.set_tracking_uri(server.url)
    if flavor == "onnx":
        import onnx

        graph = onnx.load(exported(tmp_path, TinyNetwork(), ".onnx"))
        info = mlflow.onnx.log_model(graph, name="m", registered_model_name=name, metadata=metadata)
    else:
        info = mlflow.pytorch.log_model(
            TinyNetwork().eval(),
            name="m",
            registered_model_name=name,
            metadata=metadata,
            input_example=EXAMPLE,
            serialization_format=flavor,
        )
    return str(info.registered_model_version)


@pytest.mark.parametrize("flavor", ["pt2", "onnx"])
@pytest.mark.parametrize("brings_spec", [True, False])
def test_a_version_that_mlflow_logged_is_completed_signed_and_serves(
    mlflow_server: EmbeddedServer,
    signing_key: Ed25519PrivateKey,
    client: RegistryClient,
    cache_at: CacheAt,
    tmp_path: Path,
    flavor: str,
    brings_spec: bool,
) -> None:
    name = f"logged-{flavor}-{'with' if brings_spec else 'without'}-spec"
    metadata = {"serinus": spec_to_json(tiny_spec(name))} if brings_spec else {}
    number = logged(mlflow_server, name, flavor, tmp_path, **metadata)
    missing = Missing() if brings_spec else Missing(tiny_spec(name))
    signed = sign_version(name, number, missing, registry=client, key=signing_key)
    assert signed.tags["regulatory.status"] == "research"
    assert signed.tags["serinus.intended_use"] == "For tests only."
    answers_as_the_module(cache_at(tmp_path / "cache").fetch(name, number))
    with pytest.raises(ModelRefused, match="signed already"):
        sign_version(name, number, missing, registry=client, key=signing_key)


@pytest.fixture
def without_spec(mlflow_server: EmbeddedServer, client: RegistryClient, tmp_path: Path) -> ModelVersion:
    return client.version("bare", logged(mlflow_server, "bare", "pt2", tmp_path))


def test_a_version_without_a_spec_is_signed_only_with_one_of_its_model(
    without_spec: ModelVersion, client: RegistryClient, signing_key: Ed25519PrivateKey
) -> None:
    number = without_spec.version
    for missing, problem in (
        (Missing(), "brings no spec"),
        (Missing(tiny_spec("other")), "the spec is of a model other"),
        (
            Missing(replace(tiny_spec("bare"), input=replace(tiny_spec("bare").input, size=(0, 8, 8)))),
            "axis 2",
        ),
    ):
        with pytest.raises(ModelRefused, match=problem):
            sign_version("bare", number, missing, registry=client, key=signing_key)
    assert client.version("bare", number).tags == without_spec.tags
    assert not any(
        file.path.startswith("golden") for file in client.files(client.artifact_root(without_spec))
    )


def test_a_pickle_is_not_signed(
    mlflow_server: EmbeddedServer, client: RegistryClient, signing_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    number = logged(mlflow_server, "pickled", "pickle", tmp_path)
    with pytest.raises(ModelRefused, match="pickle"):
        sign_version("pickled", number, Missing(tiny_spec("pickled")), registry=client, key=signing_key)
