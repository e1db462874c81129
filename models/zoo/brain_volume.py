"""Brain volume from a T1 weighted MR: the pretrained networks of deepbet, and what they mean."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from imaging.finding import Code
from imaging.series import SeriesRule
from models.spec import (
    Channel,
    Contrast,
    InputSpec,
    IntendedUse,
    Interpolation,
    Layout,
    MaskCleanup,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)
from models.zoo.brain_network import BrainNetwork
from models.zoo.convert_deepbet import WEIGHTS
from models.zoo.weights import load_into

NAME = "brain-volume"
BRAIN = Code("12738006", "SCT", "Brain")
VOLUME = Code("118565006", "SCT", "Volume")


def build(weights_dir: Path) -> tuple[nn.Module, ModelSpec]:
    """The network with the converted weights, and its spec."""
    return load_into(BrainNetwork(), weights_dir / WEIGHTS), SPEC


def example_input() -> Tensor:
    """A synthetic head, `(1, 1, 40, 48, 36)`: a bright ball in a dimmer one."""
    shape = (40, 48, 36)
    axes = [torch.linspace(-1, 1, size) for size in shape]
    radius = sum(grid**2 for grid in torch.meshgrid(*axes, indexing="ij"))
    radius = torch.as_tensor(radius).sqrt()
    head = 300 * (radius < 0.9).float() + 500 * (radius < 0.6).float()
    return head[None, None]


SPEC = ModelSpec(
    name=NAME,
    manufacturer="deepbet 1.0.2, University of Münster; packaged by Serinus",
    input=InputSpec(
        series=SeriesRule(
            modalities=("MR",), body_parts=("HEAD", "BRAIN", "SKULL"), min_slices=32, max_slices=512
        ),
        layout=Layout.VOLUME,
        channels=(Channel(Scaling.NONE),),  # any unit: the network takes percentiles of its own
        axes="RAS",
        interpolation=Interpolation.NEAREST,
    ),
    output=OutputSpec(
        task=Task.SEGMENTATION,
        segment=BRAIN,
        volume_concept=VOLUME,
        mask_cleanup=MaskCleanup.LARGEST_FILLED,
    ),
    intended_use=IntendedUse(
        statement="Outlines the brain on a T1 weighted MR of a head and measures its volume, for research.",
        modalities=("MR",),
        body_parts=("HEAD", "BRAIN", "SKULL"),
        min_age_years=18,
        must_not=(
            "decide on treatment",
            "read T2, FLAIR or contrast enhanced series: their accuracy was not measured",
            "measure atrophy: the outline includes the cerebrospinal fluid around the brain",
        ),
        contrast=Contrast.NONE,
    ),
)
