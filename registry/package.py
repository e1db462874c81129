"""What an author hands over to be registered: a network, what it reads and says, and what is known of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.input_check.reference import Reference
from models.spec import ModelSpec

INTENDED_USE_TAG = "serinus.intended_use"
MODALITY_TAG = "serinus.modality"
INPUT_CHECK_TAG = "serinus.input_check"
MOST_DIGEST_CHARS = 36  # that MLflow keeps of a dataset's


class RegulatoryStatus(StrEnum):
    """Whether a version may be used on patients; `cleared` counts for one digest only."""

    RESEARCH = "research"
    CLEARED = "cleared"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class RegulatoryTags:
    """How a version stands with the authorities: 510(k) number, CE certificate, unique device identifier."""

    status: str = RegulatoryStatus.RESEARCH
    us_510k: str | None = None
    eu_ce: str | None = None
    udi: str | None = None

    def __post_init__(self) -> None:
        RegulatoryStatus(self.status)  # ValueError for a word that means nothing

    def as_tags(self) -> dict[str, str]:
        tags = {
            "regulatory.status": str(self.status),
            "regulatory.us.510k": self.us_510k,
            "regulatory.eu.ce": self.eu_ce,
            "regulatory.udi": self.udi,
        }
        return {key: value for key, value in tags.items() if value}


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """Data that made or measured a version. `digest` (at most 36 characters) says which data exactly.

    `source` says in words or as an address where they come from; `context` is training, validation or testing.
    """

    name: str
    digest: str
    source: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What is known of one version to be, beside its network.

    `metrics` may nest; a branch that bears a dataset's name is tied to that dataset. `card` is Markdown.
    `reference` is what the input check compares studies with (`models.input_check.fit`); a version without one
    answers whatever it is given.
    """

    spec: ModelSpec
    card: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    regulatory: RegulatoryTags = field(default_factory=RegulatoryTags)
    datasets: tuple[DatasetRef, ...] = ()
    reference: Reference | None = None

    def tags(self) -> dict[str, str]:
        """What the version's page shows, beside digest and signature."""
        return self.regulatory.as_tags() | page_tags(self.spec, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package(Particulars):
    """A version whose network is a torch module in this process.

    `example_input` is synthetic (it is stored with the version: never a patient's) and of the network's input
    shape; it needs two items or more when the spec lets items share a forward.
    """

    module: nn.Module
    example_input: Tensor

    def __post_init__(self) -> None:
        if self.spec.input.batch > 1 and len(self.example_input) < 2:
            raise ValueError("an example of one item would fix the batch at one; give two")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePackage(Particulars):
    """A version whose network is a file that its author exported: `.pt2` or `.onnx`.

    `example_input` is one synthetic item, `(1, channels, …)`; None has one made up from the spec.
    """

    network: Path
    example_input: Tensor | None = None


def page_tags(spec: ModelSpec, reference: Reference | None) -> dict[str, str]:
    """What a version is for and whether it checks its input, as tags."""
    use = spec.intended_use
    return {
        INTENDED_USE_TAG: use.statement,
        MODALITY_TAG: ",".join(use.modalities),
        INPUT_CHECK_TAG: _input_check(reference),
    }


def _input_check(reference: Reference | None) -> str:
    if reference is None:
        return "none: the version answers whatever it is given"
    rate, count = reference.false_refusal_rate, reference.held_out
    return f"{reference.kind}, at most {rate:.1%} of genuine studies refused ({count} held out)"


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Finite numbers at any depth under joined names: `{"test": {"auc": [0.9, 0.8]}}` → `test/auc/0`, …"""
    return {name: value for name, value in _leaves(metrics) if math.isfinite(value)}


def _leaves(node: object, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{name}/{_plain(str(key))}" if name else _plain(str(key)))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{name}/{index}")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name, float(node)


def _plain(key: str) -> str:
    """MLflow allows letters, digits and `_-. :` in a metric's name."""
    return re.sub(r"[^A-Za-z0-9_\-. :]", "_", key)
