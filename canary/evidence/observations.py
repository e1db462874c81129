"""What one study says of two versions. A crash, a timeout or a refused input is a failure of its version.

`strata` are labels such as `scanner=A`; a metric reads those of the dimensions that it names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedStudy:
    """A study that was drawn for one arm, with the canary's weight when it was drawn, in basis points."""

    in_canary: bool
    failed: bool
    weight_bp: int
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailurePair:
    """A study that both versions were given."""

    candidate_failed: bool
    champion_failed: bool
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisPair:
    """A study of known truth and what both versions said. None: no answer, which is never right."""

    positive: bool
    candidate_positive: bool | None
    champion_positive: bool | None
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapPair:
    """Dice coefficients of both versions' segmentations with one reference, 0 to 1.

    None: no answer, which overlaps 0. Where no true segmentation is known the
    champion's is the reference, and its own coefficient is 1.
    """

    candidate_dice: float | None
    champion_dice: float | None
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementPair:
    """The same quantity in the same unit by both versions. None: no answer, which is counted and measures nothing."""

    candidate: float | None
    champion: float | None
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPair:
    """How long both versions took for the same study, in milliseconds."""

    candidate_ms: float
    champion_ms: float
    strata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorePair:
    """A study of known truth and both versions' scores; a higher one means more likely positive.

    None: no answer, which counts as the worst score that there is.
    """

    positive: bool
    candidate_score: float | None
    champion_score: float | None
    strata: tuple[str, ...] = ()


Observation = (
    AssignedStudy | FailurePair | DiagnosisPair | OverlapPair | MeasurementPair | LatencyPair | ScorePair
)
