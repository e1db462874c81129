"""On which device a replica computes."""

from __future__ import annotations

from typing import Literal

import torch

from core.errors import ModelUnavailable

DeviceChoice = Literal["auto", "cpu", "cuda"]


def choose_device(choice: DeviceChoice) -> torch.device:
    """`auto` takes a GPU when this process sees one. Raises ModelUnavailable without the GPU asked for."""
    available = torch.cuda.is_available()
    if choice == "cuda" and not available:
        raise ModelUnavailable("the settings ask for a GPU, and this replica sees none")
    return torch.device("cuda" if available and choice != "cpu" else "cpu")
