"""Ways to make an artifact dangerous, and a way to publish it as an author with the signing key would."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient

from registry.digest import tree_digest
from registry.signing import DIGEST_TAG, SIGNATURE_TAG, sign


class Planted:
    """Unpickling it creates a file: the proof that something ran."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.witness,)


def rewrite_pt2(artifact: Path, record: str, change: Callable[[bytes], bytes]) -> None:
    """Replace one record of `data/model.pt2`."""
    path = artifact / "data" / "model.pt2"
    with zipfile.ZipFile(path) as old:
        records = [(info.filename, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for name, content in records:
            new.writestr(name, change(content) if name.endswith(record) else content)


def edit_description(artifact: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = artifact / "MLmodel"
    description = yaml.safe_load(path.read_text())
    change(description)
    path.write_text(yaml.safe_dump(description))


def with_poisoned_sample_inputs(artifact: Path, witness: Path) -> None:
    buffer = io.BytesIO()
    torch.save(Planted(witness), buffer)
    rewrite_pt2(artifact, "data/sample_inputs/model.pt", lambda _: buffer.getvalue())


def with_poisoned_expression(artifact: Path, witness: Path) -> None:
    """Code in the place of a tensor size: MLflow's own check lets it run."""
    code = (
        f"__import__('pathlib').Path({str(witness)!r}).touch() or Symbol('s77', positive=True, integer=True)"
    )

    def plant(graph: bytes) -> bytes:
        start = graph.index(b'"expr_str": ') + len(b'"expr_str": ')
        end = graph.index(b'"', start + 1) + 1
        return graph[:start] + json.dumps(code).encode() + graph[end:]

    rewrite_pt2(artifact, "models/model.json", plant)


def with_poisoned_guard(artifact: Path, witness: Path) -> None:
    def plant(graph: bytes) -> bytes:
        plain = json.loads(graph)
        plain["guards_code"] = [f"__import__('pathlib').Path({str(witness)!r}).touch() is None"]
        return json.dumps(plain).encode()

    rewrite_pt2(artifact, "models/model.json", plant)


def with_foreign_loader(artifact: Path, witness: Path) -> None:
    edit_description(
        artifact, lambda d: d["flavors"].update(python_function={"loader_module": "evil", "data": "data"})
    )


def with_code(artifact: Path, witness: Path) -> None:
    (artifact / "code").mkdir()
    (artifact / "code" / "evil.py").write_text(f"open({str(witness)!r}, 'w')")
    edit_description(artifact, lambda d: d["flavors"]["pytorch"].update(code="code"))


def with_pickle(artifact: Path, witness: Path) -> None:
    """What `mlflow.pytorch` writes when asked for pickle."""
    shutil.rmtree(artifact / "data")
    (artifact / "data").mkdir()
    torch.save(Planted(witness), artifact / "data" / "model.pth")
    (artifact / "data" / "pickle_module_info.txt").write_text("mlflow.pytorch.pickle_module")


def without_spec(artifact: Path, witness: Path) -> None:
    edit_description(artifact, lambda d: d.update(metadata=None))


def with_other_golden_answer(artifact: Path, witness: Path) -> None:
    import numpy as np

    path = artifact / "golden" / "output.npy"
    np.save(path, np.load(path) + np.float32(0.1))


def publish(url: str, name: str, artifact: Path, key: Ed25519PrivateKey | None) -> str:
    """Upload the folder as a new version; signed unless `key` is None. Returns the version."""
    mlflow = MlflowClient(url)
    known = mlflow.get_experiment_by_name("damaged")
    experiment = known.experiment_id if known else mlflow.create_experiment("damaged")
    model = mlflow.create_logged_model(experiment, name=name)
    mlflow.log_model_artifacts(model.model_id, str(artifact))
    mlflow.finalize_logged_model(model.model_id, "READY")
    digest = tree_digest(artifact)
    tags = {DIGEST_TAG: digest, SIGNATURE_TAG: sign(key, name, digest)} if key else {}
    if not mlflow.search_registered_models(f"name = '{name}'"):
        mlflow.create_registered_model(name)
    source = f"models:/{model.model_id}"
    return str(mlflow.create_model_version(name, source, tags=tags, model_id=model.model_id).version)
