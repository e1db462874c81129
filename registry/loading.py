"""From verified files to a warm network: load without MLflow, ask for the golden answer, probe the batch.

MLflow's loader is not used in replicas. Importing `mlflow.pytorch` beside torch costs 0.8 s and 118 MiB of
resident memory in each (342 instead of 218 MiB, before any model), and its check for pickles is weaker than the
one in `registry.pt2_archive`, which every cached artifact has passed (docs/adr/0002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass

from core.errors import ModelRefused
from models.forward import Network
from models.spec import ModelSpec
from registry.admission import AdmittedArtifact, ArtifactFormat
from registry.cache import CachedModel
from registry.golden import Golden, read_golden


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network that gave its golden answer here. `max_batch` items may share a forward."""

    network: Network
    spec: ModelSpec
    max_batch: int


def load_network(cached: CachedModel, device: torch.device) -> LoadedNetwork:
    """Raises ModelRefused when the graph cannot be loaded or the golden answer is another one here."""
    network = open_network(cached.artifact, device)
    max_batch = probe(network, read_golden(cached.path), cached.spec.input.batch, device)
    return LoadedNetwork(network, cached.spec, max_batch)


def open_network(artifact: AdmittedArtifact, device: torch.device) -> Network:
    """The network of an admitted artifact on `device`, unproven."""
    if artifact.format is ArtifactFormat.ONNX:
        from models.onnx_network import OnnxNetwork  # onnxruntime: only in replicas that need it

        return OnnxNetwork(artifact.network, device)
    return _open_pt2(artifact, device)


def _open_pt2(artifact: AdmittedArtifact, device: torch.device) -> Network:
    try:
        program = torch.export.load(artifact.network)
        if device.type != "cpu":  # constants and weights are bound to the device of the export
            program = move_to_device_pass(program, device)
        network: Network = program.module()
    except Exception as error:  # noqa: BLE001 - torch's loader has no error type of its own
        raise ModelRefused(f"torch cannot load the pt2 file ({type(error).__name__})") from None
    return network


def probe(network: Network, golden: Golden, wanted: int, device: torch.device) -> int:
    """How many items may share a forward: `wanted` if the golden answer comes back for each of them, else 1.

    Raises ModelRefused when a single item is not answered as it was at registration. A graph that was exported
    with a fixed batch fails on more items; one that mixes its items answers them differently.
    """
    if not golden.agrees(_answer(network, golden.inputs, device)):
        raise ModelRefused("the golden input is answered differently here than at registration")
    if wanted == 1:
        return 1
    try:
        together = _answer(network, np.repeat(golden.inputs, wanted, axis=0), device)
    except ModelRefused:
        return 1
    return wanted if len(together) == wanted and golden.agrees(together) else 1


def _answer(
    network: Network, inputs: npt.NDArray[np.float32], device: torch.device
) -> npt.NDArray[np.float32]:
    try:
        with torch.inference_mode():
            output: Tensor = network(torch.from_numpy(inputs).to(device))
            values: npt.NDArray[np.float32] = output.float().cpu().numpy()
    except Exception as error:  # noqa: BLE001 - a graph may fail in any way; only the kind is told
        raise ModelRefused(f"the network failed on its golden input ({type(error).__name__})") from None
    return values
