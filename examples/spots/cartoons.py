"""Cartoons of axial head CT slices, half of them with a bright spot. No person was imaged."""

from __future__ import annotations

import torch
from torch import Tensor

SIDE = 64
BRAIN, SPOT, BONE = 0.45, 0.75, 1.0  # of the window 0..80 HU


def cartoons(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Slices `(count, 1, 64, 64)` in [0, 1], and whether each has a spot, `(count, 1)`."""
    draw = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, SIDE)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    slices, labels = [], []
    for _ in range(count):
        size, row, column, has_spot = torch.rand(4, generator=draw).tolist()
        head = 0.6 + 0.3 * size
        radius = (rows**2 + columns**2).sqrt()
        image = BRAIN * (radius < head) + (BONE - BRAIN) * ((radius > head - 0.08) & (radius < head))
        if has_spot > 0.5:
            centre = ((row - 0.5) * 0.8, (column - 0.5) * 0.8)
            is_spot = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < (0.06 + 0.08 * size) ** 2
            image = torch.where(is_spot, torch.tensor(SPOT), image)
        noise = 0.1 * torch.randn(SIDE, SIDE, generator=draw)
        slices.append((image + noise).clamp(0, 1)[None])
        labels.append([float(has_spot > 0.5)])
    return torch.stack(slices), torch.tensor(labels)
