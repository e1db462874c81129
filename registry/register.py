"""Register a version: pack it, validate it as a replica would, upload it whole, and sign what MLflow gives back.

Nothing is written to the registry of a version that a replica would refuse. A version appears there complete: files,
golden pair, signature, tags and card. Nothing points at it before somebody sets an alias. MLflow is imported only
when something is registered.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import ModelRefused
from models.export import dynamic_axes, export_network
from models.spec import ModelSpec, spec_to_json
from registry.admission import SPEC_KEY, ArtifactFormat, admit, require_name
from registry.client import ModelVersion, RegistryClient
from registry.digest import tree_digest
from registry.download import download_tree
from registry.golden import Golden, read_golden, write_golden
from registry.input_reference import read_reference, write_reference
from registry.loading import open_network, probe
from registry.network_file import CPU, pack_file
from registry.package import DatasetRef, FilePackage, Package, Particulars, RegulatoryTags, flat_metrics
from registry.signing import DIGEST_TAG, SIGNATURE_TAG, sign

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["DatasetRef", "FilePackage", "Package", "RegulatoryTags", "register_model"]

EXPERIMENT = "serinus-models"
METRICS_PER_REQUEST = 500


@dataclass(frozen=True, slots=True)
class _Entry:
    """The run and the logged model that a version will point at."""

    run_id: str
    model_id: str

    @property
    def source(self) -> str:
        return f"models:/{self.model_id}"


def register_model(
    package: Package | FilePackage,
    *,
    tracking_uri: str,
    signing_key: Ed25519PrivateKey,
    format: ArtifactFormat = ArtifactFormat.PT2,
) -> ModelVersion:
    """The new, signed version; `format` is that of a module's export.

    Raises ModelRefused when a replica would refuse the package.
    """
    with (
        redirect_stdout(sys.stderr),  # MLflow prints addresses; a command's output is its own
        tempfile.TemporaryDirectory() as folder,
    ):
        artifact = Path(folder) / "artifact"
        require_name(package.spec.name)
        if isinstance(package, FilePackage):
            pack_file(package, artifact)
        else:
            pack(package, artifact, format)
        validate(artifact, package.spec)
        return _upload(package, artifact, tracking_uri, signing_key)


def _upload(
    package: Particulars, artifact: Path, tracking_uri: str, signing_key: Ed25519PrivateKey
) -> ModelVersion:
    name, rest = package.spec.name, RegistryClient(tracking_uri)
    with _entry(tracking_uri, package) as (client, entry):
        _name_model(artifact, entry.model_id)
        client.log_model_artifacts(entry.model_id, str(artifact))
        digest = _digest_of_upload(rest, entry, artifact.parent / "back")
        if digest != tree_digest(artifact):
            raise ModelRefused("MLflow gives back other files than were uploaded")
        _log_provenance(client, entry, package)
        client.finalize_logged_model(entry.model_id, "READY")
        signed = {DIGEST_TAG: digest, SIGNATURE_TAG: sign(signing_key, name, digest)}
        number = _create_version(client, entry, package, package.tags() | signed)
    return rest.version(name, number)


def pack(package: Package, artifact: Path, format: ArtifactFormat) -> None:
    """Write the artifact: the network by MLflow's own writer, the spec as metadata, the golden pair."""
    package.module.eval().requires_grad_(False)
    golden = _golden_of(package)
    if format is ArtifactFormat.PT2:
        _save_pt2(package, golden, artifact)
    else:
        _save_onnx(package, golden, artifact)
    write_golden(artifact, golden)
    if package.reference is not None:
        write_reference(artifact, package.reference)


def _name_model(artifact: Path, model_id: str) -> None:
    """Have the MLmodel file name the logged model that it is of."""
    path = artifact / "MLmodel"
    description = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(description | {"model_id": model_id}))


def validate(artifact: Path, spec: ModelSpec) -> None:
    """Check of the artifact now what each replica will check of it. Raises ModelRefused."""
    admitted = admit(artifact)
    batch = probe(open_network(admitted, CPU), read_golden(artifact), spec.input.batch, CPU)
    if batch < spec.input.batch:
        raise ModelRefused("the exported network does not read as many items at once as its spec says")
    read_reference(artifact, spec.input)


def _golden_of(package: Package) -> Golden:
    item = package.example_input[:1].to(torch.float32)
    with torch.inference_mode():
        return Golden(item.numpy(), package.module(item).float().numpy())


def _save_pt2(package: Package, golden: Golden, artifact: Path) -> None:
    import mlflow.pytorch

    with torch.inference_mode(False):
        mlflow.pytorch.save_model(
            package.module,
            artifact,
            serialization_format="pt2",
            input_example=package.example_input.to(torch.float32),
            signature=_signature(package, golden),
            metadata={SPEC_KEY: spec_to_json(package.spec)},
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
        )


def _save_onnx(package: Package, golden: Golden, artifact: Path) -> None:
    import mlflow.onnx
    import onnxruntime

    graph = _onnx_graph(package)
    mlflow.onnx.save_model(
        graph,
        artifact,
        signature=_signature(package, golden),
        metadata={SPEC_KEY: spec_to_json(package.spec)},
        pip_requirements=[f"onnxruntime=={onnxruntime.__version__}"],
    )


def _onnx_graph(package: Package) -> Any:
    """The network as an ONNX protobuf; raises ModelRefused where torch knows no ONNX for an operator."""
    program = export_network(package.module, package.spec.input, package.example_input)
    try:
        graph = torch.onnx.export(program, dynamo=True, verbose=False)
    except torch.onnx.OnnxExporterError as error:
        raise ModelRefused("the network cannot be written as ONNX") from error
    return graph.model_proto if graph else None


def _signature(package: Package, golden: Golden) -> Any:
    """MLflow's tensor schema: −1 for the axes that differ from study to study, which pt2 leaves open."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    open_axes = dynamic_axes(package.spec.input)
    shape = [-1 if axis in open_axes else size for axis, size in enumerate(package.example_input.shape)]
    answer = (-1, *(-1 for _ in golden.outputs.shape[1:]))
    kind = np.dtype(np.float32)
    return ModelSignature(Schema([TensorSpec(kind, tuple(shape))]), Schema([TensorSpec(kind, answer)]))


@contextmanager
def _entry(tracking_uri: str, package: Particulars) -> Iterator[tuple[MlflowClient, _Entry]]:
    """A run with a logged model; the run ends FINISHED, or FAILED when anything goes wrong inside."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    experiment = _experiment(client)
    run_id = client.create_run(experiment, run_name=package.spec.name).info.run_id
    model = client.create_logged_model(experiment, name=package.spec.name, source_run_id=run_id)
    try:
        yield client, _Entry(run_id, model.model_id)
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _experiment(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return experiment.experiment_id if experiment else str(client.create_experiment(EXPERIMENT))


def _digest_of_upload(rest: RegistryClient, entry: _Entry, back: Path) -> str:
    """The digest of the files as a node will download them."""
    download_tree(rest, ModelVersion("", "", source=entry.source), back)
    return tree_digest(back)


def _log_provenance(client: MlflowClient, entry: _Entry, package: Particulars) -> None:
    """Datasets by digest, and each metric tied to the model and, where its name says so, to the dataset."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput

    inputs = [
        DatasetInput(
            Dataset(dataset.name, dataset.digest, "code", dataset.source),
            [InputTag("mlflow.data.context", dataset.context)],
        )
        for dataset in package.datasets
    ]
    if inputs:
        client.log_inputs(entry.run_id, inputs)
    client.log_outputs(entry.run_id, [LoggedModelOutput(entry.model_id, step=0)])
    metrics = _metrics(entry, package)
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(entry.run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])


def _metrics(entry: _Entry, package: Particulars) -> list[Any]:
    from mlflow.entities import Metric

    datasets = {dataset.name: dataset for dataset in package.datasets}
    now_ms = int(time.time() * 1000)
    metrics = []
    for name, value in flat_metrics(package.metrics).items():
        dataset = datasets.get(name.partition("/")[0])
        metrics.append(
            Metric(
                name,
                value,
                now_ms,
                step=0,
                model_id=entry.model_id,
                run_id=entry.run_id,
                dataset_name=dataset.name if dataset else None,
                dataset_digest=dataset.digest if dataset else None,
            )
        )
    return metrics


def _create_version(client: MlflowClient, entry: _Entry, package: Particulars, tags: dict[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    name = package.spec.name
    try:
        client.create_registered_model(name, description=package.spec.intended_use.statement)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = client.create_model_version(
        name, entry.source, run_id=entry.run_id, tags=tags, description=package.card, model_id=entry.model_id
    )
    return str(version.version)
