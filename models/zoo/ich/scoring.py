"""Scores of slices and of whole heads, as the platform computes them from the same network."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.zoo.ich.fields import Image

CHUNK = 32


def slice_probabilities(network: nn.Module, hu: Image) -> Image:
    """Probability per slice of `(slices, rows, columns)` HU; raises what the network raises."""
    tensor = torch.from_numpy(np.ascontiguousarray(hu, dtype=np.float32))[:, None]
    with torch.inference_mode():
        parts = [network(part) for part in torch.split(tensor, CHUNK)]
    return torch.cat(parts)[:, 0].double().numpy()


def top3_mean(network: nn.Module, hu: Image) -> float:
    """The score of a head: the mean of its three most suspicious slices (`Aggregation.TOP3_MEAN`)."""
    return float(np.sort(slice_probabilities(network, hu))[-3:].mean())
