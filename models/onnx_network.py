"""An ONNX graph in the place of a torch module, on one thread: a replica is one core."""

from __future__ import annotations

from pathlib import Path

import torch
from onnxruntime import (  # type: ignore[attr-defined]
    InferenceSession,
    SessionOptions,
    get_available_providers,
)
from torch import Tensor

from core.errors import ModelRefused


class OnnxNetwork:
    """A `models.forward.Network` around an onnxruntime session with one input and one output.

    `input_shape` has None for each axis that is open.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises ModelRefused when the file is no graph that onnxruntime reads, or has several inputs."""
        self._session = _session(path, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelRefused("the ONNX graph does not have one input and one output")
        self._input, self._output = inputs[0].name, outputs[0].name
        if inputs[0].type != "tensor(float)":
            raise ModelRefused("the ONNX graph does not take float32")
        self.input_shape = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)

    def __call__(self, batch: Tensor, /) -> Tensor:
        (result,) = self._session.run([self._output], {self._input: batch.cpu().contiguous().numpy()})
        return torch.from_numpy(result)


def _session(path: Path, device: torch.device) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True  # the golden answer is to come back the same
    options.log_severity_level = 4  # its texts may quote tensors
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    if not set(wanted) <= set(get_available_providers()):  # it would compute on the CPU and say nothing
        raise ModelRefused("the replica computes on a GPU, and the onnxruntime that is installed cannot")
    providers = [*wanted, "CPUExecutionProvider"]
    try:
        return InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # noqa: BLE001 - its errors have no common base
        raise ModelRefused(f"onnxruntime cannot load the graph ({type(error).__name__})") from None
