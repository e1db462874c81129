"""`python -m models.zoo.convert_lungs --out DIR --cache DIR`: lungs-finder as safetensors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.zoo.convert import main
from models.zoo.lung_network import from_descriptor
from models.zoo.packages import Package, read_member
from models.zoo.weights import convert

LUNGS_FINDER = Package(
    name="lungs-finder",
    version="1.0.0",
    filename="lungs_finder-1.0.0.tar.gz",
    sha256="51e237af4dbcba5ea955d46138ee49ad075c86a20cc9972cd5acea45cf1bc192",
    licence="Apache-2.0",
)
WEIGHTS = "chest-film-qa.safetensors"
MEMBER = "lungs_finder-1.0.0/lungs_finder/{side}_lung_hog.np"


def convert_lungs(cache: Path, out: Path) -> bool:
    """Write `out/chest-film-qa.safetensors` unless it is there. Raises WeightsUnavailable."""
    return convert(LUNGS_FINDER, cache, out / WEIGHTS, _tensors)


def _tensors(archive: Path) -> dict[str, Tensor]:
    lungs = [_classifier(read_member(archive, MEMBER.format(side=side))) for side in ("right", "left")]
    return {
        "weight": torch.stack([weight for weight, _ in lungs]),
        "bias": torch.stack([bias for _, bias in lungs]),
    }


def _classifier(text: bytes) -> tuple[Tensor, Tensor]:
    """One number per line, in the order of OpenCV's HOGDescriptor."""
    return from_descriptor(np.loadtxt(io.BytesIO(text), dtype=np.float32))


if __name__ == "__main__":
    main(convert_lungs)
