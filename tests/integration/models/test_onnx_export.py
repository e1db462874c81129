"""A network of the zoo leaves torch as ONNX and gives the same answers there."""

from __future__ import annotations

from pathlib import Path

import torch

from models.export import export_network
from models.onnx_network import OnnxNetwork
from models.zoo.ich.versions import build, example_input


def test_a_version_can_be_written_as_onnx_too(tmp_path: Path) -> None:
    """torch's exporter failed on a clamp with one limit of each kind of number."""
    network, spec = build(1)
    graph = torch.onnx.export(
        export_network(network, spec.input, example_input(1)), dynamo=True, verbose=False
    )
    assert graph is not None
    graph.save(tmp_path / "ich.onnx", external_data=False)
    with torch.inference_mode():
        expected = network(example_input(1))
    answer = OnnxNetwork(tmp_path / "ich.onnx", torch.device("cpu"))(example_input(1))
    assert torch.allclose(answer, expected, atol=1e-5)
