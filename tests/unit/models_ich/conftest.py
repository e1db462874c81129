"""Small fixed sets of phantoms, drawn once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.zoo.ich.phantom import Mixture, slice_phantom

DrawMany = Callable[..., npt.NDArray[np.float32]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def draw() -> DrawMany:
    """`draw(count, seed, bleed=…, rim=…, …)` → `(count, rows, columns)` HU."""

    def many(count: int, seed: int, **shares: float) -> npt.NDArray[np.float32]:
        mixture = Mixture(**shares)
        return np.stack([slice_phantom(seed + k, mixture).hu for k in range(count)]).astype(np.float32)

    return many
