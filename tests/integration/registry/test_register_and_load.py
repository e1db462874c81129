"""The whole way of a version on a real MLflow: registered, aliased, fetched, loaded, its golden input answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient
from torch import Tensor, nn

from core.errors import ModelRefused, UnknownModel
from registry.admission import ArtifactFormat
from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.loading import load_network
from registry.register import register_model
from registry.server import EmbeddedServer
from tests.integration.registry.tiny import SIZE, TinyNetwork, tiny_package, tiny_spec

CPU = torch.device("cpu")
CacheAt = Callable[[Path], NodeCache]


def test_a_version_is_born_signed_with_its_tags(tiny: ModelVersion) -> None:
    assert tiny.tags["serinus.artifact.digest"].startswith("sha256:")
    assert tiny.tags["serinus.artifact.signature"]
    assert tiny.tags["regulatory.status"] == "research"
    assert tiny.tags["regulatory.us.510k"] == "K000000"
    assert "regulatory.eu.ce" not in tiny.tags
    assert tiny.tags["serinus.intended_use"] == "For tests only."
    assert tiny.tags["serinus.modality"] == "CT"


def test_its_page_in_mlflow_shows_card_metrics_and_datasets(
    tiny: ModelVersion, mlflow_server: EmbeddedServer
) -> None:
    mlflow = MlflowClient(mlflow_server.url)
    assert mlflow.get_model_version("tiny", tiny.version).description == "# Tiny\n\nMade by a test."
    (dataset,) = mlflow.get_run(tiny.run_id).inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("phantoms", "0123abcd")
    metrics = {each.key: each for each in mlflow.get_logged_model(tiny.model_id).metrics}
    assert metrics["phantoms/auc"].value == 0.75
    assert metrics["phantoms/auc"].dataset_digest == "0123abcd"
    assert metrics["phantoms/auc 95 _ interval/1"].value == 0.8
    assert metrics["loss"].dataset_digest is None


def test_all_versions_come_with_their_tags_in_one_request(tiny: ModelVersion, client: RegistryClient) -> None:
    client.set_tag("tiny", tiny.version, "regulatory.status", "withdrawn")
    (listed,) = (v for v in client.all_versions()["tiny"] if v.version == tiny.version)
    assert listed == client.version("tiny", tiny.version)
    assert listed.tags["regulatory.status"] == "withdrawn"
    client.set_tag("tiny", tiny.version, "regulatory.status", tiny.tags["regulatory.status"])


def test_an_alias_leads_to_a_warm_network(
    tiny: ModelVersion, client: RegistryClient, cache_at: CacheAt, tmp_path: Path
) -> None:
    client.set_alias("tiny", "champion", tiny.version)
    cached = cache_at(tmp_path).fetch("tiny", client.models()["tiny"].aliases["champion"])
    loaded = load_network(cached, CPU)
    assert loaded.spec == tiny_spec("tiny")
    assert loaded.max_batch == 4
    items = torch.rand(3, 1, SIZE, SIZE)
    with torch.inference_mode():
        assert torch.allclose(loaded.network(items), TinyNetwork().eval()(items), atol=1e-6)
    client.delete_alias("tiny", "champion")
    assert client.models()["tiny"].aliases == {}


def test_onnx_goes_the_same_way(
    mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey, cache_at: CacheAt, tmp_path: Path
) -> None:
    version = register_model(
        tiny_package("tiny-onnx"),
        tracking_uri=mlflow_server.url,
        signing_key=signing_key,
        format=ArtifactFormat.ONNX,
    )
    loaded = load_network(cache_at(tmp_path).fetch("tiny-onnx", version.version), CPU)
    assert loaded.max_batch == 4
    items = torch.rand(3, 1, SIZE, SIZE)
    with torch.inference_mode():
        assert torch.allclose(loaded.network(items), TinyNetwork().eval()(items), atol=1e-5)


def test_a_second_version_gets_the_next_number(
    tiny: ModelVersion, mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey, client: RegistryClient
) -> None:
    package = tiny_package("twice")
    first, second = (
        register_model(package, tracking_uri=mlflow_server.url, signing_key=signing_key) for _ in range(2)
    )
    assert (first.version, second.version) == ("1", "2")
    assert {each.version for each in client.versions("twice")} == {"1", "2"}


class Mixing(nn.Module):
    """Its answer for an item depends on the others of the batch."""

    def forward(self, items: Tensor) -> Tensor:
        return items.mean((1, 2, 3))[:, None] + items.sum()


def test_a_network_that_mixes_its_items_is_not_registered(
    mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey, client: RegistryClient
) -> None:
    package = replace(tiny_package("mixing"), module=Mixing())
    with pytest.raises(ModelRefused, match="as many items at once"):
        register_model(package, tracking_uri=mlflow_server.url, signing_key=signing_key)
    assert "mixing" not in client.models()


def test_what_mlflow_lacks_is_unknown(client: RegistryClient) -> None:
    with pytest.raises(UnknownModel):
        client.version("nobody", "1")
