"""Which series of a study a model can read, with a reason for each series refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Plane(StrEnum):
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """What a series must be. An empty `body_parts` accepts any; a blank BodyPartExamined is always accepted."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()
    plane: Plane = Plane.ANY
    min_slices: int = 1
    max_slices: int = 2000
    min_thickness_mm: float | None = None
    max_thickness_mm: float | None = None
    max_gap_ratio: float = 0.02  # allowed deviation of slice distances from their median
