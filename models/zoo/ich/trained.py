"""The committed weights and figures of each version: safetensors and JSON in `weights/`."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from models.zoo.ich.broken_build import HalfPrecisionBone
from models.zoo.ich.network import Architecture, TriageNetwork

WEIGHTS = Path(__file__).parent / "weights"
VERSIONS = (1, 2, 3, 4, 5)
ABSTAIN_SHARE = 0.10  # of the healthy heads, where a recipe names none
ON_DEMAND = (5,)  # no model to choose, but a broken build to try a rollout with


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


def load_network(version: int) -> nn.Module:
    """The trained network in evaluation mode."""
    report = training_report(version)
    if "built_from" in report:
        return HalfPrecisionBone(load_network(report["built_from"]), report["bone_scale"]).eval()
    network = TriageNetwork(Architecture(**report["recipe"]["architecture"]))
    network.load_state_dict(load_file(WEIGHTS / f"v{version}.safetensors"))
    return network.eval()


def weights_digest(version: int) -> str:
    """32 hexadecimal digits over what a version is: its report, and the weights that it reads."""
    report = training_report(version)
    hasher = blake2b(digest_size=16)
    hasher.update(json.dumps(report, sort_keys=True).encode())
    hasher.update((WEIGHTS / f"v{report.get('built_from', version)}.safetensors").read_bytes())
    return hasher.hexdigest()
