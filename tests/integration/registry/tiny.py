"""A network of a few weights with a whole spec: enough to be registered, loaded and damaged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imaging.finding import Code, Urgency
from imaging.series import SeriesRule
from models.spec import (
    Channel,
    FindingSpec,
    InputSpec,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)
from registry.package import DatasetRef, Package, RegulatoryTags

SIZE = 16


class TinyNetwork(nn.Module):
    """`(n, 1, 16, 16)` → `(n, 1)` probability, with a batch norm as real ones have."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.features = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 1)

    def forward(self, items: Tensor) -> Tensor:
        found = torch.relu(self.norm(self.features(items)))
        return torch.sigmoid(self.head(found.mean((2, 3))))


def tiny_spec(name: str) -> ModelSpec:
    return ModelSpec(
        name=name,
        manufacturer="tests",
        input=InputSpec(
            series=SeriesRule(modalities=("CT",)),
            layout=Layout.SLICES,
            channels=(Channel(Scaling.WINDOW, 0.0, 80.0),),
            size=(0, SIZE, SIZE),
            batch=4,
        ),
        output=OutputSpec(
            task=Task.CLASSIFICATION,
            findings=(FindingSpec(Code("1386000", "SCT", "Intracranial hemorrhage"), 0.5, Urgency.CRITICAL),),
            priority=((0.0, 0), (1.0, 100)),
        ),
        intended_use=IntendedUse(statement="For tests only.", modalities=("CT",)),
    )


def tiny_package(name: str) -> Package:
    return Package(
        module=TinyNetwork(),
        spec=tiny_spec(name),
        example_input=torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1)),
        card="# Tiny\n\nMade by a test.",
        metrics={"phantoms": {"auc": 0.75, "auc 95 % interval": [0.7, 0.8]}, "loss": 0.5},
        regulatory=RegulatoryTags(status="research", us_510k="K000000"),
        datasets=(DatasetRef("phantoms", "0123abcd", "the generator of the tests", "testing"),),
    )
