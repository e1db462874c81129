"""What a model version reads (InputSpec) and says (OutputSpec): declarative, and stored with the artifact.

Everything that is not the network lies here, so that a canary brings its own preprocessing and a reviewer can
read it without running code. `spec_to_json`/`spec_from_json` are strict: an unknown key is an error. A spec
that contradicts itself cannot be built: ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from core.codec import InvalidDocument, from_plain, to_plain
from core.errors import ModelRefused
from imaging.finding import Code, Urgency
from imaging.series import SeriesRule

SCHEMA = 1


def spec_to_json(spec: ModelSpec) -> dict[str, Any]:
    """Plain values that `json.dumps` takes; every field is written, also one at its default."""
    plain: dict[str, Any] = to_plain(spec)
    return plain


def spec_from_json(plain: Mapping[str, Any]) -> ModelSpec:
    """The spec that `spec_to_json` wrote. Raises ModelRefused, with a JSON pointer to what is wrong."""
    try:
        return from_plain(ModelSpec, plain)
    except InvalidDocument as error:
        raise ModelRefused(f"the version's spec is {error}") from None


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


class Layout(StrEnum):
    """How a volume becomes the network's input tensor (float32)."""

    SLICES = "slices"  # (slices, channels, rows, columns), one item per slice
    VOLUME = "volume"  # (1, channels, slices, rows, columns)
    IMAGE = "image"  # (1, channels, rows, columns), one frame


class Scaling(StrEnum):
    WINDOW = "window"  # VOI window to [0, 1] (LINEAR_EXACT, PS3.3 C.11.2.1.3.2)
    PERCENTILE = "percentile"  # clip to two percentiles, then to [0, 1]
    NONE = "none"  # the modality's own unit (HU)


class Fit(StrEnum):
    """How an image of any size becomes one of `size`."""

    PAD = "pad"  # cut or pad around the centre; a voxel stays as large as it is
    STRETCH = "stretch"  # resample each axis to its size
    CONTAIN = "contain"  # resample all axes by one factor until the image fits, then pad


class Interpolation(StrEnum):
    LINEAR = "linear"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class Channel:
    """One input channel. `low`/`high`: window bounds in the modality's unit, or percentiles in 0..100."""

    scaling: Scaling
    low: float = 0.0
    high: float = 0.0

    def __post_init__(self) -> None:
        if self.scaling is not Scaling.NONE:
            _require(self.low < self.high, "a channel's low must lie below its high")
        if self.scaling is Scaling.PERCENTILE:
            _require(self.low >= 0 and self.high <= 100, "percentiles lie in 0..100")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network expects.

    `axes` empty keeps the order of the source: (slices, rows, columns). Three letters reorder and flip the
    voxels to the closest patient axes, so that each axis runs *towards* its letter: "RAS" is the order that
    NIfTI tools use. `spacing_mm` and `size` are in the order of the network's axes; None keeps the source's,
    and so does a 0 for one axis. `pad_value` is in the modality's own unit: it is scaled like any voxel. Where the
    series is in colour, the channels are red, green and blue, from 0 to 255 before they are scaled; else all
    channels are of the one intensity.
    """

    series: SeriesRule
    layout: Layout
    channels: tuple[Channel, ...]
    spacing_mm: tuple[float, float, float] | None = None
    size: tuple[int, int, int] | None = None
    pad_value: float = 0.0
    batch: int = 1  # items per forward that the artifact accepts (probed at load)
    axes: str = ""
    fit: Fit = Fit.PAD
    interpolation: Interpolation = Interpolation.LINEAR

    def __post_init__(self) -> None:
        _require(len(self.channels) > 0, "an input has at least one channel")
        _require(self.batch >= 1, "a batch has at least one item")
        _require(all(mm >= 0 for mm in self.spacing_mm or ()), "spacing_mm must not be negative")
        _require(all(n >= 0 for n in self.size or ()), "size must not be negative")
        _require(
            self.axes == "" or _names_axes(self.axes), "axes are three letters such as RAS, one per axis"
        )
        _require(
            self.axes == "" or self.layout is Layout.VOLUME, "only a volume can be turned to patient axes"
        )
        _require(
            not self.series.colour or len(self.channels) == 3,
            "images in colour have three channels: red, green and blue",
        )
        if self.fit is not Fit.PAD:
            _require(
                self.size is not None and self.spacing_mm is None, "this fit needs a size and no spacing_mm"
            )


def _names_axes(axes: str) -> bool:
    pairs = [pair for letter in axes for pair in ("RL", "AP", "SI") if letter in pair]
    return len(axes) == 3 and len(set(pairs)) == 3


class Aggregation(StrEnum):
    """How item-wise probabilities become one per study."""

    MAX = "max"
    TOP3_MEAN = "top3-mean"
    SINGLE = "single"  # there is one item


class Activation(StrEnum):
    """What the platform still has to do to the network's output to get probabilities."""

    NONE = "none"
    SIGMOID = "sigmoid"


class MaskCleanup(StrEnum):
    """What happens to a mask on the source's grid."""

    NONE = "none"
    LARGEST_FILLED = "largest-filled"  # the largest 6-connected part, its holes filled


@dataclass(frozen=True, slots=True)
class FindingSpec:
    """One output column: coded concept, operating threshold, abstention band, urgency when present.

    A probability of `threshold` or more is PRESENT; one inside the band, its ends included, is INDETERMINATE.
    """

    concept: Code
    threshold: float
    urgency: Urgency
    abstain_low: float | None = None
    abstain_high: float | None = None
    site: Code | None = None

    def __post_init__(self) -> None:
        _require(0 <= self.threshold <= 1, "a threshold lies in [0, 1]")
        _require((self.abstain_low is None) == (self.abstain_high is None), "a band has two ends")
        if self.abstain_low is not None and self.abstain_high is not None:
            _require(
                0 <= self.abstain_low <= self.threshold <= self.abstain_high <= 1,
                "the abstention band lies in [0, 1] around the threshold",
            )


@dataclass(frozen=True, slots=True)
class BoxSpec:
    """One structure that a localisation network looks for; its box is told from a score of `threshold` on."""

    concept: Code
    threshold: float

    def __post_init__(self) -> None:
        _require(0 <= self.threshold <= 1, "a threshold lies in [0, 1]")


class Task(StrEnum):
    """What the network returns, one row per item; `p` are probabilities once `activation` is applied."""

    CLASSIFICATION = "classification"  # (items, findings): p
    SEGMENTATION = "segmentation"  # (items, 1, *the item's spatial shape): p of the segment
    LOCALISATION = "localisation"  # (items, boxes, 5): p, row start, column start, row stop, column stop
    FEATURES = "features"  # (1, features)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How network output becomes findings. `priority` maps probability to 0-100, piecewise linear, ascending.

    A localisation may have one finding: its probability is the least of the boxes', so it is present only
    when every structure is found.
    """

    task: Task
    findings: tuple[FindingSpec, ...] = ()
    aggregation: Aggregation = Aggregation.MAX
    priority: tuple[tuple[float, int], ...] = ()
    segment: Code | None = None
    volume_concept: Code | None = None
    activation: Activation = Activation.NONE
    boxes: tuple[BoxSpec, ...] = ()
    mask_threshold: float = 0.5
    mask_cleanup: MaskCleanup = MaskCleanup.NONE

    def __post_init__(self) -> None:
        _require(0 < self.mask_threshold < 1, "mask_threshold lies between 0 and 1")
        _check_task(self)
        _check_priority(self.priority)
        _require(not self.priority or bool(self.findings), "a priority needs a finding to come from")


def _check_task(output: OutputSpec) -> None:
    task, count = output.task, len(output.findings)
    allowed = {
        Task.CLASSIFICATION: count > 0,
        Task.SEGMENTATION: count == 0,
        Task.LOCALISATION: count <= 1,
        Task.FEATURES: count == 0,
    }
    _require(allowed[task], f"a {task} model does not have {count} findings")
    _require((task is Task.SEGMENTATION) == (output.segment is not None), "a segmentation names its segment")
    _require((task is Task.LOCALISATION) == bool(output.boxes), "a localisation names its boxes")
    _require(output.volume_concept is None or task is Task.SEGMENTATION, "only a segmentation has a volume")


def _check_priority(points: tuple[tuple[float, int], ...]) -> None:
    _require(len(points) != 1, "a priority mapping has at least two points")
    _require(all(0 <= p <= 1 and 0 <= score <= 100 for p, score in points), "priority maps [0, 1] to 0..100")
    _require(all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(points)), "priority must ascend")


class Contrast(StrEnum):
    """Whether the version may read images that name a contrast agent."""

    ANY = "any"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class IntendedUse:
    """For whom and what the version may be used; checked per study before any variant answers.

    `views` are those of a projection (ViewPosition: PA, AP, LL, …); empty accepts any, and a blank one always passes.
    """

    statement: str
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()
    min_age_years: int | None = None
    max_age_years: int | None = None
    must_not: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    contrast: Contrast = Contrast.ANY

    def __post_init__(self) -> None:
        ages = [age for age in (0, self.min_age_years, self.max_age_years) if age is not None]
        _require(ages == sorted(ages), "the ages of the intended use ascend from 0")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The whole declarative part of a version."""

    name: str
    manufacturer: str
    input: InputSpec
    output: OutputSpec
    intended_use: IntendedUse
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        _require(self.schema == SCHEMA, f"only schema {SCHEMA} is known")
        _require(bool(self.name) and bool(self.manufacturer), "a model has a name and a manufacturer")
        image = self.input.layout is Layout.IMAGE
        _require(
            self.output.task is not Task.LOCALISATION or self.input.layout is not Layout.VOLUME,
            "boxes lie on images, not in a volume",
        )
        _require(
            self.output.task is not Task.SEGMENTATION or not image, "a segmentation reads slices or a volume"
        )
