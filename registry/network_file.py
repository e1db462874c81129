"""A network that its author exported to a file becomes an artifact: admitted, described, and asked its golden input.

The file stays as it is, byte by byte. The golden answer is that of the file itself, on the way that a study takes; so
it shows later that the same network still computes, not that it is the one that the author meant.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml
from torch import Tensor

from core.errors import ModelFailed, ModelRefused
from models.decide import probabilities
from models.export import dynamic_axes
from models.forward import Outputs, forward_items
from models.input_check.reference import Reference
from models.spec import Layout, ModelSpec, OutputSpec, Scaling, Task, spec_to_json
from registry.admission import SPEC_KEY, AdmittedArtifact, ArtifactFormat, admit
from registry.golden import Golden, write_golden
from registry.input_reference import require_kind, write_reference
from registry.loading import open_network
from registry.package import FilePackage

CPU: Final = torch.device("cpu")
SUFFIXES: Final = {".pt2": ArtifactFormat.PT2, ".onnx": ArtifactFormat.ONNX}
OPEN_SIZE: Final = 64  # of an axis that differs from study to study, in the golden input
Shape = tuple[int | None, ...]


def pack_file(package: FilePackage, artifact: Path) -> None:
    """Write the artifact. Raises ModelRefused for a file that is no network of those kinds, or not the spec's."""
    kind = SUFFIXES.get(package.network.suffix)
    if kind is None:
        raise ModelRefused(f"{package.network.name} is neither a .pt2 (torch.export) nor an .onnx file")
    data = "data/model.pt2" if kind is ArtifactFormat.PT2 else "model.onnx"
    (artifact / data).parent.mkdir(parents=True)
    shutil.copyfile(package.network, artifact / data)
    _write_description(artifact, kind, package.spec)
    complete(admit(artifact), package.spec, package.example_input, package.reference)


def complete(
    admitted: AdmittedArtifact, spec: ModelSpec, example: Tensor | None, reference: Reference | None
) -> None:
    """Add to an artifact what a replica asks for: the golden pair, and the reference if there is one.

    Raises ModelRefused when the network does not read, or does not say, what the spec tells.
    """
    require_shape(input_shape(admitted), spec)
    item = _example(spec, input_shape(admitted)) if example is None else example[:1].to(torch.float32)
    with one_thread():
        outputs = forward_items(item, open_network(admitted, CPU), 1, CPU)
    if isinstance(outputs, ModelFailed):
        raise ModelRefused(
            f"the network does not answer an input of shape {tuple(item.shape)}: {outputs.detail}"
        )
    require_output(outputs, tuple(item.shape), spec.output)
    if reference is not None:
        require_kind(reference, spec.input)
        write_reference(admitted.root, reference)
    write_golden(admitted.root, Golden(item.numpy(), outputs))


def input_shape(admitted: AdmittedArtifact) -> Shape:
    """The shape of the one tensor that the network takes, None for an open axis. Raises ModelRefused."""
    if admitted.format is ArtifactFormat.ONNX:
        from models.onnx_network import OnnxNetwork

        return OnnxNetwork(admitted.network, CPU).input_shape
    try:
        program = torch.export.load(admitted.network)
    except Exception as error:  # noqa: BLE001 - torch's loader has no error type of its own
        raise ModelRefused(f"torch cannot load the pt2 file ({type(error).__name__})") from None
    taken = set(program.graph_signature.user_inputs)
    inputs = [
        node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in taken
    ]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        raise ModelRefused("the network does not take exactly one tensor")
    return tuple(size if isinstance(size, int) else None for size in inputs[0].shape)


def require_shape(shape: Shape, spec: ModelSpec) -> None:
    """Raise ModelRefused, with the axis, when a network that takes `shape` cannot read what the spec prepares."""
    wanted = _wanted_shape(spec)
    if len(shape) != len(wanted):
        raise ModelRefused(f"the network takes {len(shape)} axes, and {spec.input.layout} has {len(wanted)}")
    for axis, (taken, prepared) in enumerate(zip(shape, wanted, strict=True)):
        if taken is None or taken == prepared:
            continue
        asked = "differs from study to study" if prepared is None else f"has {prepared}"
        if axis == 0 and prepared is None:
            raise ModelRefused(
                f"the network takes exactly {taken} items at once: export it with an open first axis, or say batch: 1"
            )
        raise ModelRefused(f"axis {axis} of the network's input has {taken}, and by the spec it {asked}")


def _wanted_shape(spec: ModelSpec) -> Shape:
    """What the spec prepares, items first; None where the length differs."""
    sizes = spec.input.size or (0, 0, 0)
    spatial = sizes if spec.input.layout is Layout.VOLUME else sizes[1:]
    shape = (1, len(spec.input.channels), *spatial)
    open_axes = dynamic_axes(spec.input)
    return tuple(None if axis in open_axes else size for axis, size in enumerate(shape))


def require_output(outputs: Outputs, item: Sequence[int], spec: OutputSpec) -> None:
    """Raise ModelRefused when the answer to one item has another shape than the task, or is no probability."""
    wanted, shape = _answer_shape(spec, item), outputs.shape
    if len(shape) != len(wanted) or any(w is not None and n != w for n, w in zip(shape, wanted, strict=True)):
        told = ", ".join("…" if size is None else str(size) for size in wanted)
        raise ModelRefused(f"a {spec.task} answers one item with ({told}), and the network with {shape}")
    if spec.task is Task.FEATURES:
        return
    try:
        probabilities(outputs[..., :1] if spec.task is Task.LOCALISATION else outputs, spec.activation)
    except ModelFailed as error:
        raise ModelRefused(f"{error.detail}: say `activation: sigmoid` if it returns logits") from None


def _answer_shape(output: OutputSpec, item: Sequence[int]) -> Shape:
    shapes: dict[Task, Shape] = {
        Task.CLASSIFICATION: (1, len(output.findings)),
        Task.SEGMENTATION: (1, 1, *item[2:]),
        Task.LOCALISATION: (1, len(output.boxes), 5),
        Task.FEATURES: (1, None),
    }
    return shapes[output.task]


def _example(spec: ModelSpec, shape: Shape) -> Tensor:
    """Noise of the scale that the spec's channels have: [0, 1], or HU."""
    sizes = [size or fixed or OPEN_SIZE for size, fixed in zip(_wanted_shape(spec), shape, strict=True)]
    noise = torch.rand((1, *sizes[1:]), generator=torch.Generator().manual_seed(0))
    for index, channel in enumerate(spec.input.channels):
        if channel.scaling is Scaling.NONE:
            noise[:, index] = 2000 * noise[:, index] - 1000
    return noise


def _write_description(artifact: Path, kind: ArtifactFormat, spec: ModelSpec) -> None:
    """The MLmodel file, by MLflow's own writer, so that its own loaders read the version too."""
    from mlflow.models import Model

    model = Model(metadata={SPEC_KEY: spec_to_json(spec)})
    model.add_flavor(str(kind), **_flavor(kind))
    model.save(artifact / "MLmodel")


def _flavor(kind: ArtifactFormat) -> dict[str, Any]:
    if kind is ArtifactFormat.PT2:
        return {"model_data": "data", "pytorch_version": str(torch.__version__), "code": None}
    import onnx

    return {"data": "model.onnx", "onnx_version": onnx.__version__, "code": None}


def write_spec(artifact: Path, spec: ModelSpec) -> None:
    """Put the spec into the MLmodel file that is there."""
    path = artifact / "MLmodel"
    description = yaml.safe_load(path.read_text())
    metadata = (description.get("metadata") or {}) | {SPEC_KEY: spec_to_json(spec)}
    path.write_text(yaml.safe_dump(description | {"metadata": metadata}))


@contextmanager
def one_thread() -> Iterator[None]:
    """As many threads as a replica computes with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_example(path: Path) -> Tensor:
    """One synthetic item from a `.npy` file. Raises ModelRefused."""
    try:
        values = np.load(path, allow_pickle=False)
        return torch.from_numpy(np.asarray(values, np.float32))
    except (OSError, ValueError, TypeError) as error:
        raise ModelRefused(f"{path.name} is no array of numbers in NumPy's format") from error
