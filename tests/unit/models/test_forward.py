"""Batches, failures, and what may be said of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.errors import ModelFailed, ModelUnavailable
from models.device import choose_device
from models.forward import forward
from models.prepare import Prepared, prepare
from tests.unit.models.builders import input_spec, ramp, volume

CPU = torch.device("cpu")


def study(slices: int, rows: int = 4, value: int | None = None) -> Prepared:
    voxels = ramp(slices, rows) if value is None else np.full((slices, rows, 4), value, np.int16)
    return prepare(volume(voxels), input_spec())


class Recorder:
    """Answers with the mean of each item, and remembers how many items each call had."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, batch: Tensor, /) -> Tensor:
        self.batches.append(len(batch))
        return batch.mean((1, 2, 3))[:, None]


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=4), max_batch=st.integers(1, 8))
def test_batching_never_changes_an_answer(counts: list[int], max_batch: int) -> None:
    studies = [study(count, rows=4 + count % 2) for count in counts]
    network = Recorder()
    results = forward(network, studies, max_batch, CPU)
    assert max(network.batches) <= max_batch
    for prepared, result in zip(studies, results, strict=True):
        assert isinstance(result, np.ndarray)
        assert np.allclose(result[:, 0], prepared.tensor.mean((1, 2, 3)).numpy())


def test_studies_of_one_shape_share_a_batch() -> None:
    network = Recorder()
    forward(network, [study(3), study(2), study(2, rows=5)], 8, CPU)
    assert sorted(network.batches) == [2, 5]


def failing(batch: Tensor, /) -> Tensor:
    if (batch == 666).any():
        raise IndexError(f"index 666 out of range in {batch}")
    return batch.mean((1, 2, 3))[:, None]


def test_one_studys_failure_stays_its_own() -> None:
    good, bad, other = forward(failing, [study(2), study(2, value=666), study(3)], 8, CPU)
    assert isinstance(bad, ModelFailed)
    assert isinstance(good, np.ndarray)
    assert len(good) == 2
    assert isinstance(other, np.ndarray)
    assert len(other) == 3


def test_a_failure_tells_its_kind_and_no_pixel() -> None:
    (failed,) = forward(failing, [study(2, value=666)], 8, CPU)
    assert isinstance(failed, ModelFailed)
    assert str(failed) == "the network failed with IndexError"
    assert failed.__context__ is None
    assert failed.__cause__ is None


@pytest.mark.parametrize(
    "network",
    [
        lambda batch: torch.full((len(batch), 1), float("nan")),
        lambda batch: torch.full((len(batch), 1), float("inf")),
        lambda batch: torch.zeros(len(batch) + 1, 1),
        lambda batch: torch.tensor(0.0),
        lambda batch: (batch, batch),
    ],
)
def test_what_is_no_answer_is_a_failure(network: Callable[[Tensor], Tensor]) -> None:
    (result,) = forward(network, [study(2)], 8, CPU)
    assert isinstance(result, ModelFailed)


def test_half_precision_comes_back_as_float32() -> None:
    (result,) = forward(lambda batch: torch.ones(len(batch), 1, dtype=torch.bfloat16), [study(2)], 8, CPU)
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("choice", "gpu", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_takes_a_gpu_when_there_is_one(
    choice: str, gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(choice).type == expected  # type: ignore[arg-type]


def test_a_gpu_that_is_asked_for_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelUnavailable):
        choose_device("cuda")


class LateError(Tensor):
    """An output that is found to be broken when it is copied, as a GPU reports a kernel's failure."""

    def cpu(self, *_: object, **__: object) -> Tensor:
        raise RuntimeError("device-side assert triggered at pixel 1024")


def test_a_failure_that_shows_when_the_output_is_copied_is_one_of_the_network() -> None:
    def network(batch: Tensor, /) -> Tensor:
        return torch.zeros(len(batch), 1).as_subclass(LateError)

    (failed,) = forward(network, [study(2)], 8, CPU)
    assert isinstance(failed, ModelFailed)
    assert str(failed) == "the network failed with RuntimeError"


def test_what_is_too_much_for_one_batch_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] not enough memory")

    studies = [study(2), study(3)]
    monkeypatch.setattr(torch, "cat", refuse)
    first, second = forward(Recorder(), studies, 8, CPU)
    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
