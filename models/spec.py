"""What a model version reads (InputSpec) and says (OutputSpec): declarative, and stored with the artifact.

Everything that is not the network lies here, so that a canary brings its own preprocessing and a reviewer can
read it without running code. `to_json`/`from_json` are strict: an unknown key is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from imaging.finding import Code, Urgency
from imaging.series import SeriesRule


class Layout(StrEnum):
    """How a volume becomes the network's input tensor (float32)."""

    SLICES = "slices"  # (slices, channels, rows, columns), one item per slice
    VOLUME = "volume"  # (1, channels, slices, rows, columns)
    IMAGE = "image"  # (1, channels, rows, columns), one frame


class Scaling(StrEnum):
    WINDOW = "window"  # VOI window to [0, 1] (LINEAR_EXACT, PS3.3 C.11.2.1.3.2)
    PERCENTILE = "percentile"  # clip to two percentiles, then to [0, 1]
    NONE = "none"  # the modality's own unit (HU)


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel. `low`/`high`: window bounds in the modality's unit, or percentiles in 0..100."""

    scaling: Scaling
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network expects. `spacing_mm`/`size` are (slices, rows, columns); None keeps the source's."""

    series: SeriesRule
    layout: Layout
    channels: tuple[Channel, ...]
    spacing_mm: tuple[float, float, float] | None = None
    size: tuple[int, int, int] | None = None
    pad_value: float = 0.0
    batch: int = 1  # items per forward that the artifact accepts (probed at load)


class Aggregation(StrEnum):
    """How item-wise probabilities become one per study."""

    MAX = "max"
    TOP3_MEAN = "top3-mean"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class FindingSpec:
    """One output column: coded concept, operating threshold, abstention band, urgency when present."""

    concept: Code
    threshold: float
    urgency: Urgency
    abstain_low: float | None = None
    abstain_high: float | None = None
    site: Code | None = None


class Task(StrEnum):
    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"
    LOCALISATION = "localisation"
    FEATURES = "features"


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How network output becomes findings. `priority` maps probability to 0-100, piecewise linear, ascending."""

    task: Task
    findings: tuple[FindingSpec, ...] = ()
    aggregation: Aggregation = Aggregation.MAX
    priority: tuple[tuple[float, int], ...] = ()
    segment: Code | None = None
    volume_concept: Code | None = None


@dataclass(frozen=True, slots=True)
class IntendedUse:
    """For whom and what the version may be used; checked per study before any variant answers."""

    statement: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()
    min_age_years: int | None = None
    max_age_years: int | None = None
    must_not: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The whole declarative part of a version."""

    name: str
    manufacturer: str
    input: InputSpec
    output: OutputSpec
    intended_use: IntendedUse
    schema: int = 1
