"""From verified files to a warm network: load without MLflow, ask for the golden answer, probe the batch.

MLflow's loader is not used in replicas. Importing `mlflow.pytorch` beside torch costs 0.8 s and 118 MiB of
resident memory in each (342 instead of 218 MiB, before any model), and its check for pickles is weaker than the
one in `registry.pt2_archive`, which every cached artifact has passed (docs/adr/0002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.export.passes import move_to_device_pass

from core.errors import ModelFailed, ModelRefused
from models.forward import Network, Outputs, forward, forward_items
from models.input_check.reference import Reference
from models.prepare import Prepared
from models.spec import ModelSpec
from registry.admission import AdmittedArtifact, ArtifactFormat
from registry.cache import CachedModel
from registry.golden import Golden, read_golden
from registry.input_reference import read_reference

DIFFERS = "the golden input is answered differently here than at registration"


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network that gave its golden answer here. `max_batch` items may share a forward.

    `reference` is what its input check compares studies with, None where the version brings none.
    """

    network: Network
    spec: ModelSpec
    max_batch: int
    golden: Golden
    device: torch.device
    reference: Reference | None = None

    def forward(self, studies: Sequence[Prepared]) -> list[Outputs | ModelFailed]:
        """One result per study; raises nothing."""
        return forward(self.network, studies, self.max_batch, self.device)

    def golden_fault(self) -> str | None:
        """What is wrong with the network now, by its golden input; None when it gives its golden answer.

        It takes the way of a study: on this device, in the precision and the batches that serve.
        """
        item = torch.from_numpy(self.golden.inputs)
        return _fault(forward_items(item, self.network, self.max_batch, self.device), self.golden)


def load_network(cached: CachedModel, device: torch.device) -> LoadedNetwork:
    """Raises ModelRefused when the graph cannot be loaded or the golden answer is another one here."""
    network, golden = open_network(cached.artifact, device), read_golden(cached.path)
    max_batch = probe(network, golden, cached.spec.input.batch, device)
    reference = read_reference(cached.path, cached.spec.input)
    return LoadedNetwork(network, cached.spec, max_batch, golden, device, reference)


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


def probe(network: Network, golden: Golden, batch: int, device: torch.device) -> int:
    """How many items may share a forward: `batch` if the golden answer comes back for each of them, else 1.

    The golden input takes the way of a study, on a GPU under the same mixed precision; what that may change is the
    tolerance that the version states. Raises ModelRefused when a single item is not answered as it was at
    registration. A graph that was exported with a fixed batch fails on more items; one that mixes its items answers
    them differently.
    """
    item = torch.from_numpy(golden.inputs)
    fault = _fault(forward_items(item, network, 1, device), golden)
    if fault is not None:
        raise ModelRefused(fault)
    if batch == 1:
        return 1
    together = forward_items(item.repeat_interleave(batch, 0), network, batch, device)
    return batch if _fault(together, golden) is None else 1


def _fault(outputs: Outputs | ModelFailed, golden: Golden) -> str | None:
    if isinstance(outputs, ModelFailed):
        return f"the golden input is not answered: {outputs.detail}"
    return None if golden.agrees(outputs) else DIFFERS
