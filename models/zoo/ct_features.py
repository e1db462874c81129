"""2048 numbers of a chest CT, from the encoder of Astra: a truly heavy model, for batching, cold starts and memory.

Opt-in: `python -m models.zoo.convert_astra` fetches its weights; the demo does not.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from imaging.series import Plane, SeriesRule
from models.spec import Channel, InputSpec, IntendedUse, Layout, ModelSpec, OutputSpec, Scaling, Task
from models.zoo.convert_astra import WEIGHTS
from models.zoo.resnet3d import ResNet3d
from models.zoo.weights import load_into

NAME = "ct-features"
SIZE = (160, 224, 224)


def build(weights_dir: Path) -> tuple[nn.Module, ModelSpec]:
    """The network with the converted weights (117 M parameters), and its spec."""
    return load_into(ResNet3d(), weights_dir / WEIGHTS), SPEC


def example_input() -> Tensor:
    """A synthetic chest, `(1, 1, 160, 224, 224)`: a dark ellipsoid in a brighter one. No axis is open."""
    axes = [torch.linspace(-1, 1, size) for size in SIZE]
    radius = torch.as_tensor(sum(grid**2 for grid in torch.meshgrid(*axes, indexing="ij"))).sqrt()
    chest = 0.5 * (radius < 0.9).float() - 0.4 * (radius < 0.6).float()
    return chest[None, None]


SPEC = ModelSpec(
    name=NAME,
    manufacturer="Astra (zh-Wang-Med), after Merlin (Stanford MIMI Lab); packaged by Serinus",
    input=InputSpec(
        series=SeriesRule(
            modalities=("CT",), body_parts=("CHEST", "THORAX", "LUNG"), plane=Plane.AXIAL, min_slices=16
        ),
        layout=Layout.VOLUME,
        channels=(Channel(Scaling.WINDOW, -1000, 1000),),
        spacing_mm=(3.0, 1.5, 1.5),
        size=SIZE,
        pad_value=-1000.0,
        axes="SRA",
    ),
    output=OutputSpec(task=Task.FEATURES),
    intended_use=IntendedUse(
        statement="Describes a chest CT by 2048 numbers, for research on serving. It says nothing of a patient.",
        modalities=("CT",),
        body_parts=("CHEST", "THORAX", "LUNG"),
        must_not=("be read as a finding of any kind",),
    ),
)
