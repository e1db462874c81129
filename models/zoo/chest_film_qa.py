"""Is this a frontal chest film, and where are the lungs? The classifiers of lungs-finder and their use."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from imaging.finding import Code, Urgency
from imaging.series import SeriesRule
from models.spec import (
    BoxSpec,
    Channel,
    FindingSpec,
    Fit,
    InputSpec,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)
from models.zoo.convert_lungs import WEIGHTS
from models.zoo.lung_network import LungNetwork
from models.zoo.weights import load_into

NAME = "chest-film-qa"
FRONTAL = Code("399033003", "SCT", "Frontal projection")
CHEST = Code("51185008", "SCT", "Chest")
RIGHT_LUNG = Code("3341006", "SCT", "Right lung")
LEFT_LUNG = Code("44029006", "SCT", "Left lung")
SIDE = 512


def build(weights_dir: Path) -> tuple[nn.Module, ModelSpec]:
    """The network with the converted classifiers, and its spec."""
    return load_into(LungNetwork(SIDE), weights_dir / WEIGHTS), SPEC


def example_input() -> Tensor:
    """Two synthetic films, `(2, 1, 512, 512)`: two dark ovals on a bright ground; two keep the batch open."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    film = 1 - 0.7 * (((columns.abs() - 0.45) / 0.3) ** 2 + (rows / 0.7) ** 2 < 1).float()
    return film.expand(2, 1, SIDE, SIDE).contiguous()


SPEC = ModelSpec(
    name=NAME,
    manufacturer="lungs-finder 1.0.0, M. Kholiavchenko; packaged by Serinus",
    input=InputSpec(
        series=SeriesRule(modalities=("CR", "DX"), body_parts=("CHEST", "THORAX"), max_slices=1),
        layout=Layout.IMAGE,
        channels=(Channel(Scaling.PERCENTILE, 1, 99),),
        size=(0, SIDE, SIDE),  # in pixels: a film's spacing is often missing or 0
        fit=Fit.CONTAIN,
        batch=8,
    ),
    output=OutputSpec(
        task=Task.LOCALISATION,
        findings=(FindingSpec(FRONTAL, 0.5, Urgency.NONE, abstain_low=0.3, abstain_high=0.7, site=CHEST),),
        boxes=(BoxSpec(RIGHT_LUNG, 0.5), BoxSpec(LEFT_LUNG, 0.5)),
    ),
    intended_use=IntendedUse(
        statement="Says whether a radiograph looks like an upright frontal chest film and boxes the lungs, "
        "to route films and to catch wrong ones. For research.",
        modalities=("CR", "DX"),
        body_parts=("CHEST", "THORAX"),
        must_not=(
            "say anything of disease",
            "measure a lung: the boxes are coarse",
            "stand for a technologist's quality control",
        ),
        views=("PA", "AP"),
    ),
)
