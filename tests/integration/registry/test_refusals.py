"""What may not be loaded is refused with a sentence of its own, and nothing of it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow.pytorch
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import ModelRefused
from registry.admission import ArtifactFormat
from registry.cache import NodeCache
from registry.client import ModelVersion, RegistryClient
from registry.digest import tree_digest
from registry.loading import load_network
from registry.register import pack
from registry.server import EmbeddedServer
from registry.signing import DIGEST_TAG, SIGNATURE_TAG, sign
from tests.integration.registry import damage
from tests.integration.registry.tiny import tiny_package

CPU = torch.device("cpu")
CacheAt = Callable[[Path], NodeCache]


@pytest.fixture(scope="session")
def sound_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifact = tmp_path_factory.mktemp("sound") / "artifact"
    pack(tiny_package("damaged"), artifact, ArtifactFormat.PT2)
    return artifact


@pytest.fixture
def artifact(sound_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_artifact, tmp_path / "artifact"))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (damage.with_pickle, "holds a pickle"),
        (damage.with_foreign_loader, "foreign loader_module"),
        (damage.with_code, "ships Python code"),
        (damage.with_poisoned_sample_inputs, "sample inputs are a pickle that could run code"),
        (damage.with_poisoned_expression, "code in the place of a size expression"),
        (damage.with_poisoned_guard, "code in the place of a guard"),
        (damage.without_spec, "what it reads and says is unknown"),
        (damage.with_other_golden_answer, "golden input is answered differently"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_dangerous_artifact_is_refused_though_it_is_signed(
    harm: Callable[[Path, Path], None],
    sentence: str,
    artifact: Path,
    mlflow_server: EmbeddedServer,
    signing_key: Ed25519PrivateKey,
    cache_at: CacheAt,
    tmp_path: Path,
) -> None:
    witness = tmp_path / "it-ran"
    harm(artifact, witness)
    version = damage.publish(mlflow_server.url, "damaged", artifact, signing_key)
    with pytest.raises(ModelRefused, match=sentence):
        load_network(cache_at(tmp_path / "cache").fetch("damaged", version), CPU)
    assert not witness.exists()


def test_undamaged_it_loads(
    artifact: Path,
    mlflow_server: EmbeddedServer,
    signing_key: Ed25519PrivateKey,
    cache_at: CacheAt,
    tmp_path: Path,
) -> None:
    version = damage.publish(mlflow_server.url, "damaged", artifact, signing_key)
    assert load_network(cache_at(tmp_path / "cache").fetch("damaged", version), CPU).max_batch == 4


def test_the_planted_code_is_live(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal above is worth something: MLflow with pickles disallowed runs the same file."""
    witness = tmp_path / "it-ran"
    damage.with_poisoned_expression(artifact, witness)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.pytorch.load_model(str(artifact))
    assert witness.exists()


def stored_pt2(mlflow_folder: Path, client: RegistryClient, version: ModelVersion) -> Path:
    return mlflow_folder / "artifacts" / client.artifact_root(version) / "data" / "model.pt2"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def published(
    artifact: Path, mlflow_server: EmbeddedServer, signing_key: Ed25519PrivateKey, client: RegistryClient
) -> ModelVersion:
    return client.version("damaged", damage.publish(mlflow_server.url, "damaged", artifact, signing_key))


def test_a_byte_changed_in_mlflow_is_refused_and_put_away(
    published: ModelVersion, client: RegistryClient, mlflow_folder: Path, cache_at: CacheAt, tmp_path: Path
) -> None:
    flip_a_byte(stored_pt2(mlflow_folder, client, published))
    with pytest.raises(ModelRefused, match="changed in MLflow: its digest is not the signed one"):
        cache_at(tmp_path).fetch("damaged", published.version)
    assert len(os.listdir(tmp_path / "quarantine")) == 1


def test_a_byte_changed_in_the_cache_is_refused_and_the_next_fetch_heals(
    published: ModelVersion, cache_at: CacheAt, tmp_path: Path
) -> None:
    cached = cache_at(tmp_path).fetch("damaged", published.version)
    flip_a_byte(cached.artifact.network)
    with pytest.raises(ModelRefused, match="cached file of the version was changed"):
        cache_at(tmp_path).fetch("damaged", published.version)
    assert not cached.path.exists()
    assert tree_digest(cache_at(tmp_path).fetch("damaged", published.version).path) == cached.digest


def test_a_file_added_to_the_cache_is_refused(
    published: ModelVersion, cache_at: CacheAt, tmp_path: Path
) -> None:
    cached = cache_at(tmp_path).fetch("damaged", published.version)
    (cached.path / "notes.txt").write_text("harmless?")
    with pytest.raises(ModelRefused, match="cached file of the version was changed"):
        cache_at(tmp_path).fetch("damaged", published.version)


def test_a_digest_tag_edited_to_fit_changed_files_is_refused(
    published: ModelVersion, client: RegistryClient, mlflow_folder: Path, cache_at: CacheAt, tmp_path: Path
) -> None:
    network = stored_pt2(mlflow_folder, client, published)
    flip_a_byte(network)
    client.set_tag("damaged", published.version, DIGEST_TAG, tree_digest(network.parents[1]))
    with pytest.raises(ModelRefused, match="signature does not match"):
        cache_at(tmp_path).fetch("damaged", published.version)


def test_a_signature_by_another_key_is_refused(
    published: ModelVersion, client: RegistryClient, cache_at: CacheAt, tmp_path: Path
) -> None:
    forged = sign(Ed25519PrivateKey.generate(), "damaged", published.tags[DIGEST_TAG])
    client.set_tag("damaged", published.version, SIGNATURE_TAG, forged)
    with pytest.raises(ModelRefused, match="signature does not match"):
        cache_at(tmp_path).fetch("damaged", published.version)


def test_a_version_copied_to_another_name_needs_a_signature_of_its_own(
    tiny: ModelVersion,
    mlflow_server: EmbeddedServer,
    client: RegistryClient,
    signing_key: Ed25519PrivateKey,
    cache_at: CacheAt,
    tmp_path: Path,
) -> None:
    """MLflow's "Promote model" copies all tags, digest and signature too."""
    copy = mlflow.MlflowClient(mlflow_server.url).copy_model_version("models:/tiny/1", "tiny-prod")
    with pytest.raises(ModelRefused, match="signature does not match"):
        cache_at(tmp_path).fetch("tiny-prod", str(copy.version))
    signature = sign(signing_key, "tiny-prod", tiny.tags[DIGEST_TAG])
    client.set_tag("tiny-prod", str(copy.version), SIGNATURE_TAG, signature)
    assert cache_at(tmp_path).fetch("tiny-prod", str(copy.version)).digest == tiny.tags[DIGEST_TAG]


def test_an_unsigned_version_is_refused(
    artifact: Path, mlflow_server: EmbeddedServer, cache_at: CacheAt, tmp_path: Path
) -> None:
    version = damage.publish(mlflow_server.url, "damaged", artifact, key=None)
    with pytest.raises(ModelRefused, match="not signed"):
        cache_at(tmp_path).fetch("damaged", version)
