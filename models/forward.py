"""Run a network over the prepared inputs of one or several studies, in batches, and judge what comes back.

No exception of the network leaves this file: torch's own texts may quote values of the image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.errors import ModelFailed
from models.prepare import Prepared


class Network(Protocol):
    """A batch of items in, a tensor with one row per item out: a torch module or an ONNX session."""

    def __call__(self, batch: Tensor, /) -> Tensor: ...


Outputs = npt.NDArray[np.float32]


def forward(
    network: Network, studies: Sequence[Prepared], max_batch: int, device: torch.device
) -> list[Outputs | ModelFailed]:
    """One result per study: its outputs, items first, or the ModelFailed that `interpret` will raise.

    Items of different studies share a batch where their shapes agree. When a shared batch fails, each study
    of it is read again on its own, so that one study's failure stays its own.
    """
    results: dict[int, Outputs | ModelFailed] = {}
    for members in _of_one_shape(studies):
        together = _run([studies[index].tensor for index in members], network, max_batch, device)
        results.update(zip(members, together, strict=True))
    return [results[index] for index in range(len(studies))]


def _of_one_shape(studies: Sequence[Prepared]) -> Iterator[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, study in enumerate(studies):
        groups.setdefault(tuple(study.tensor.shape[1:]), []).append(index)
    yield from groups.values()


def _run(
    tensors: list[Tensor], network: Network, max_batch: int, device: torch.device
) -> list[Outputs | ModelFailed]:
    result = _run_together(tensors, network, max_batch, device)
    if isinstance(result, ModelFailed):
        if len(tensors) == 1:
            return [result]
        return [forward_items(tensor, network, max_batch, device) for tensor in tensors]
    ends = np.cumsum([len(tensor) for tensor in tensors])[:-1]
    return [*np.split(result, ends)]


def _run_together(
    tensors: list[Tensor], network: Network, max_batch: int, device: torch.device
) -> Outputs | ModelFailed:
    try:
        items = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    except RuntimeError:
        return ModelFailed("the studies of one batch do not fit into memory together")
    return forward_items(items, network, max_batch, device)


def forward_items(
    items: Tensor, network: Network, max_batch: int, device: torch.device
) -> Outputs | ModelFailed:
    """One row per item, at most `max_batch` of them in a forward. The golden input takes this way too."""
    parts: list[Outputs] = []
    for start in range(0, len(items), max_batch):
        part = _run_batch(items[start : start + max_batch], network, device)
        if isinstance(part, ModelFailed):
            return part
        parts.append(part)
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _run_batch(batch: Tensor, network: Network, device: torch.device) -> Outputs | ModelFailed:
    try:
        values = _rows(_call(network, batch, device), len(batch))
    except Exception as error:  # noqa: BLE001 - a version may fail in any way; only the kind is told
        return ModelFailed(f"the network failed with {type(error).__name__}")
    if isinstance(values, ModelFailed) or np.isfinite(values).all():
        return values
    return ModelFailed("the network returned values that are not numbers")


def _rows(output: object, items: int) -> Outputs | ModelFailed:
    """The output as an array. A GPU reports a kernel's failure here, when the copy waits for it."""
    if not isinstance(output, Tensor):
        return ModelFailed("the network returned something else than one tensor")
    if output.ndim == 0 or len(output) != items:
        return ModelFailed("the network did not return one row per item")
    values: Outputs = output.float().cpu().numpy()
    return values


def _call(network: Network, batch: Tensor, device: torch.device) -> Tensor:
    """On a GPU the copy is pinned and the arithmetic mixed; on a CPU neither helps."""
    on_gpu = device.type == "cuda"
    with torch.inference_mode(), torch.autocast(device.type, enabled=on_gpu):
        return network(batch.pin_memory().to(device, non_blocking=True) if on_gpu else batch)
