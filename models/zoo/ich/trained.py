"""The committed weights and figures of each version: safetensors and JSON in `weights/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from models.zoo.ich.network import Architecture, TriageNetwork

WEIGHTS = Path(__file__).parent / "weights"
VERSIONS = (1, 2, 3, 4)


def training_report(version: int) -> dict[str, Any]:
    """What `train` wrote: recipe, parameters, operating point."""
    report: dict[str, Any] = json.loads((WEIGHTS / f"v{version}.json").read_text())
    return report


def threshold_of(version: int) -> float:
    """The version's operating point for whole heads."""
    return float(training_report(version)["operating_point"]["threshold"])


def evaluation_report(version: int) -> dict[str, Any]:
    """What `evaluate` wrote for this version."""
    report: dict[str, Any] = json.loads((WEIGHTS / "evaluation.json").read_text())[str(version)]
    return report


def load_network(version: int) -> TriageNetwork:
    """The trained network in evaluation mode."""
    network = TriageNetwork(Architecture(**training_report(version)["recipe"]["architecture"]))
    network.load_state_dict(load_file(WEIGHTS / f"v{version}.safetensors"))
    return network.eval()
