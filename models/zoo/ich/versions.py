"""`ich-triage`, versions 1 to 5: network, weights and the declarative spec that goes into the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from imaging.finding import Code, Urgency
from imaging.series import Plane, SeriesRule
from models.spec import (
    Aggregation,
    Channel,
    Contrast,
    FindingSpec,
    InputSpec,
    IntendedUse,
    Layout,
    ModelSpec,
    OutputSpec,
    Scaling,
    Task,
)
from models.zoo.ich.model_card import CARDS as CARD_FOLDER
from models.zoo.ich.model_card import MUST_NOT
from models.zoo.ich.phantom import PIXEL_MM, SIZE, slice_phantom
from models.zoo.ich.trained import VERSIONS, evaluation_report, load_network, training_report

NAME = "ich-triage"
HAEMORRHAGE = Code("1386000", "SCT", "Intracranial hemorrhage")
HEAD = ("HEAD", "BRAIN", "SKULL")

T = TypeVar("T")


class PerVersion(Mapping[int, T]):
    """A read-only mapping over the versions, read from disk when it is asked and not at import."""

    def __init__(self, read: Callable[[int], T]) -> None:
        self._read = read

    def __getitem__(self, version: int) -> T:
        if version not in VERSIONS:
            raise KeyError(version)
        return self._read(version)

    def __iter__(self) -> Iterator[int]:
        return iter(VERSIONS)

    def __len__(self) -> int:
        return len(VERSIONS)


def _metrics(version: int) -> dict[str, Any]:
    return {"training": training_report(version), "evaluation": evaluation_report(version)}


CARDS: Mapping[int, str] = PerVersion(lambda version: (CARD_FOLDER / f"ich_v{version}.md").read_text())
METRICS: Mapping[int, dict[str, Any]] = PerVersion(_metrics)


def build(version: int) -> tuple[nn.Module, ModelSpec]:
    """The trained network in evaluation mode and its spec: `(n, 1, 128, 128)` HU → `(n, 1)` probability.

    Raises KeyError for a version that does not exist.
    """
    if version not in VERSIONS:
        raise KeyError(version)
    return load_network(version), _spec(training_report(version)["operating_point"])


def example_input(version: int) -> Tensor:
    """Two phantom slices, `(2, 1, 128, 128)` HU, that every version can read."""
    del version
    return torch.from_numpy(np.stack([slice_phantom(seed).hu for seed in (1, 2)]))[:, None]


def _spec(point: Mapping[str, float]) -> ModelSpec:
    return ModelSpec(
        name=NAME,
        manufacturer="Serinus project",
        input=InputSpec(
            series=SeriesRule(modalities=("CT",), body_parts=HEAD, plane=Plane.AXIAL, min_slices=8),
            layout=Layout.SLICES,
            channels=(Channel(Scaling.NONE),),
            spacing_mm=(0.0, PIXEL_MM, PIXEL_MM),
            size=(0, SIZE, SIZE),
            pad_value=-1000.0,
            batch=32,
        ),
        output=OutputSpec(
            task=Task.CLASSIFICATION,
            findings=(_finding(point),),
            aggregation=Aggregation.TOP3_MEAN,
            priority=_priority(point["threshold"]),
        ),
        intended_use=IntendedUse(
            statement=(
                "Research and demonstration only. Trained on procedural phantoms; orders a worklist of axial "
                "CT of the head by suspicion of intracranial haemorrhage."
            ),
            modalities=("CT",),
            body_parts=HEAD,
            min_age_years=18,
            must_not=MUST_NOT,
            contrast=Contrast.NONE,
        ),
    )


def _finding(point: Mapping[str, float]) -> FindingSpec:
    return FindingSpec(
        concept=HAEMORRHAGE,
        threshold=point["threshold"],
        urgency=Urgency.CRITICAL,
        abstain_low=point["abstain_low"],
        abstain_high=point["abstain_high"],
    )


def _priority(threshold: float) -> tuple[tuple[float, int], ...]:
    """Half of the scale below the threshold, half above, so that priorities of versions can be compared."""
    return ((0.0, 0), (threshold, 50), (1.0, 100))
