"""An ONNX graph answers as the torch module does."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from core.errors import ModelRefused
from models.forward import forward
from models.onnx_network import OnnxNetwork
from models.prepare import prepare
from tests.unit.models.builders import input_spec, ramp, volume

CPU = torch.device("cpu")


def graph(path: Path, inputs: int = 1) -> Path:
    """The mean of each item, times the number of inputs."""
    names = [f"x{index}" for index in range(inputs)]
    shape: list[str | int | None] = ["n", 1, "rows", "columns"]
    nodes = [
        helper.make_node("Sum", names, ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[2, 3], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["n", 1])],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_graph_reads_a_study_in_batches(tmp_path: Path) -> None:
    prepared = prepare(volume(ramp(5)), input_spec())
    (result,) = forward(OnnxNetwork(graph(tmp_path / "m.onnx"), CPU), [prepared], 2, CPU)
    assert result[:, 0] == pytest.approx(ramp(5).mean((1, 2)))  # type: ignore[index]


def test_a_graph_with_two_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused):
        OnnxNetwork(graph(tmp_path / "m.onnx", inputs=2), CPU)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelRefused):
        OnnxNetwork(tmp_path / "m.onnx", CPU)
