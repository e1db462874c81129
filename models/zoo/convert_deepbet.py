"""`python -m models.zoo.convert_deepbet --out DIR --cache DIR`: the weights of deepbet as safetensors.

The package holds two TorchScript archives, which may run code: they are opened here, once, from a file whose
hash was reviewed, and never where studies are read. Only the tensors are kept.
"""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from models.zoo.convert import main
from models.zoo.packages import Package, read_member
from models.zoo.weights import convert

DEEPBET = Package(
    name="deepbet",
    version="1.0.2",
    filename="deepbet-1.0.2-py3-none-any.whl",
    sha256="1999e2ea00ec48f6233b95b96f3901a962d3f70431c63aeb985e8a49a198473c",
    licence="MIT",
)
WEIGHTS = "brain-volume.safetensors"
STAGES = {"bbox": "data/models/bbox_model.pt", "outline": "data/models/model.pt"}


def convert_deepbet(cache: Path, out: Path) -> bool:
    """Write `out/brain-volume.safetensors` unless it is there. Raises WeightsUnavailable."""
    return convert(DEEPBET, cache, out / WEIGHTS, _tensors)


def _tensors(wheel: Path) -> dict[str, Tensor]:
    return {
        f"{stage}.{name}": tensor
        for stage, member in STAGES.items()
        for name, tensor in _opened(read_member(wheel, member)).items()
    }


def _opened(archive: bytes) -> dict[str, Tensor]:
    script = torch.jit.load(io.BytesIO(archive), map_location="cpu")  # type: ignore[no-untyped-call]
    tensors: dict[str, Tensor] = script.state_dict()
    return tensors


if __name__ == "__main__":
    main(convert_deepbet)
