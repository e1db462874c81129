"""A network in a file becomes an artifact, or the author is told what does not fit before anything is registered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from core.errors import ModelRefused
from models.spec import Activation, Layout, ModelSpec, OutputSpec, Task
from registry.admission import admit
from registry.golden import read_golden
from registry.network_file import Shape, input_shape, pack_file, require_output, require_shape
from registry.package import FilePackage
from registry.register import validate
from tests.integration.registry.tiny import SIZE, TinyNetwork, tiny_spec

SPEC = tiny_spec("own")


def exported(folder: Path, network: nn.Module, suffix: str = ".pt2", *, is_open: bool = True) -> Path:
    example = torch.zeros(2 if is_open else 1, 1, SIZE, SIZE)
    shapes = ({0: Dim.AUTO},) if is_open else None
    program = torch.export.export(network.eval(), (example,), dynamic_shapes=shapes)
    path = folder / f"net{suffix}"
    if suffix == ".pt2":
        torch.export.save(program, path)
    else:
        graph = torch.onnx.export(program, dynamo=True, verbose=False)
        assert graph is not None
        graph.save(path, external_data=False)
    return path


def packed(folder: Path, network: Path, spec: ModelSpec = SPEC) -> Path:
    artifact = folder / "artifact"
    pack_file(FilePackage(spec=spec, card="# Own", network=network), artifact)
    return artifact


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_file_becomes_an_artifact_that_a_replica_takes(tmp_path: Path, suffix: str) -> None:
    network = exported(tmp_path, TinyNetwork(), suffix)
    artifact = packed(tmp_path, network)
    admitted = admit(artifact)
    assert admitted.network.read_bytes() == network.read_bytes()
    assert input_shape(admitted) == (None, 1, SIZE, SIZE)
    validate(artifact, SPEC)
    golden = read_golden(artifact)
    with torch.inference_mode():
        expected = TinyNetwork().eval()(torch.from_numpy(golden.inputs)).numpy()
    assert np.allclose(golden.outputs, expected, atol=1e-5)


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"net\.pth is neither"):
        packed(tmp_path, tmp_path / "net.pth")


def test_a_pickle_under_another_name_is_refused(tmp_path: Path) -> None:
    torch.save(TinyNetwork().state_dict(), tmp_path / "net.pt2")
    with pytest.raises(ModelRefused, match="pt2"):
        packed(tmp_path, tmp_path / "net.pt2")


def test_an_example_of_the_author_is_the_golden_input(tmp_path: Path) -> None:
    example = torch.full((1, 1, SIZE, SIZE), 0.25)
    network = exported(tmp_path, TinyNetwork())
    pack_file(FilePackage(spec=SPEC, card="c", network=network, example_input=example), tmp_path / "a")
    assert np.array_equal(read_golden(tmp_path / "a").inputs, example.numpy())


def test_a_fixed_batch_goes_only_with_a_spec_that_says_so(tmp_path: Path) -> None:
    network = exported(tmp_path, TinyNetwork(), is_open=False)
    with pytest.raises(ModelRefused, match=r"exactly 1 items at once.*batch: 1"):
        packed(tmp_path, network)
    alone = replace(SPEC, input=replace(SPEC.input, batch=1))
    validate(packed(tmp_path / "alone", network, alone), alone)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((None, 1, SIZE, SIZE), None),
        ((None, None, None, None), None),
        ((None, 3, SIZE, SIZE), "axis 1 of the network's input has 3, and by the spec it has 1"),
        ((None, 1, SIZE, 32), "axis 3 of the network's input has 32, and by the spec it has 16"),
        ((None, 1, SIZE), "the network takes 3 axes, and slices has 4"),
    ],
)
def test_an_input_that_the_spec_does_not_prepare_is_named(shape: Shape, problem: str | None) -> None:
    if problem is None:
        require_shape(shape, SPEC)
        return
    with pytest.raises(ModelRefused, match=problem):
        require_shape(shape, SPEC)


def test_an_axis_that_the_spec_leaves_open_must_be_open() -> None:
    spec = replace(SPEC, input=replace(SPEC.input, layout=Layout.VOLUME, batch=1))
    require_shape((1, 1, None, SIZE, SIZE), spec)
    with pytest.raises(
        ModelRefused, match=r"axis 2 .* has 40, and by the spec it differs from study to study"
    ):
        require_shape((1, 1, 40, SIZE, SIZE), spec)


FEATURES = OutputSpec(task=Task.FEATURES)


@pytest.mark.parametrize(
    ("outputs", "spec", "problem"),
    [
        (np.zeros((1, 1)), SPEC.output, None),
        (np.zeros((1, 2)), SPEC.output, r"classification answers one item with \(1, 1\)"),
        (np.zeros((1,)), SPEC.output, r"answers one item with \(1, 1\)"),
        (np.full((1, 1), 3.0), SPEC.output, "activation: sigmoid"),
        (np.full((1, 1), 3.0), replace(SPEC.output, activation=Activation.SIGMOID), None),
        (np.full((1, 7), 3.0), FEATURES, None),
        (np.zeros((1, 7, 2)), FEATURES, r"features answers one item with \(1, …\)"),
    ],
)
def test_an_answer_that_the_spec_does_not_tell_is_named(
    outputs: np.ndarray, spec: OutputSpec, problem: str | None
) -> None:
    values = outputs.astype(np.float32)
    if problem is None:
        require_output(values, (1, 1, SIZE, SIZE), spec)
        return
    with pytest.raises(ModelRefused, match=problem):
        require_output(values, (1, 1, SIZE, SIZE), spec)


class Two(nn.Module):
    """Takes two tensors."""

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one + other).mean((1, 2, 3))[:, None]


def test_a_network_of_two_inputs_is_refused(tmp_path: Path) -> None:
    example = torch.zeros(2, 1, SIZE, SIZE)
    torch.export.save(torch.export.export(Two(), (example, example)), tmp_path / "net.pt2")
    with pytest.raises(ModelRefused, match="exactly one tensor"):
        packed(tmp_path, tmp_path / "net.pt2")
