"""What a model says of a study: coded findings, measurements, urgency. The vocabulary of every report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept: value, coding scheme designator (SCT, DCM, RADLEX, UCUM, …) and meaning."""

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        if not (self.value and self.scheme and 0 < len(self.meaning) <= 64):
            raise ValueError("a code needs a value, a scheme and a meaning of at most 64 characters (VR LO)")


class Urgency(StrEnum):
    """ACR actionable-finding categories (PS3.16 CID 7035)."""

    CRITICAL = "critical"  # category 1: minutes
    URGENT = "urgent"  # category 2: hours
    NONCRITICAL = "noncritical"  # category 3: days
    NONE = "none"


class Presence(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"  # inside the version's abstention band, or of an input it does not know


class InputVerdict(StrEnum):
    """Whether a study is of the kind that the version's reference set shows."""

    TYPICAL = "in-distribution"
    FOREIGN = "out-of-distribution"
    UNCHECKED = "unchecked"  # the version brings no reference to compare with


@dataclass(frozen=True, slots=True)
class InputCheck:
    """How a study compares with the version's reference set. No field holds a patient's value.

    `distance` counts in limits: above 1 the study is foreign. `p_value` is the share of genuine studies that lie as
    far out. `unusual` names the measures that differ most.
    """

    verdict: InputVerdict = InputVerdict.UNCHECKED
    distance: float | None = None
    p_value: float | None = None
    unusual: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        return self.verdict is InputVerdict.FOREIGN


NOT_CHECKED: Final = InputCheck()


@dataclass(frozen=True, slots=True)
class Finding:
    """One coded finding with the version's probability in [0, 1] and the threshold that was applied.

    `key_instance_uid` is the SOP Instance UID of the image that speaks most for it, when there is one; of a
    multi-frame object, `key_frame` is the number of the frame, from 1.
    """

    concept: Code
    presence: Presence
    probability: float
    threshold: float
    urgency: Urgency
    site: Code | None = None
    key_instance_uid: str | None = None
    key_frame: int | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number with a unit (UCUM)."""

    concept: Code
    value: float
    unit: Code
    site: Code | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on one image, in pixels: `row`/`column` from the top left corner, end exclusive.

    `frame` is the number of the image in a multi-frame object, from 1, else None.
    """

    concept: Code
    instance_uid: str
    row_start: int
    column_start: int
    row_stop: int
    column_stop: int
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """Which version really produced a result. `digest` is the signed tree digest of its artifact (sha256)."""

    name: str
    version: str
    digest: str
    manufacturer: str
    research_only: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer of the version that reads a study for its caller. The only type a report accepts.

    `priority_score` is 0-100, or None when the model does no triage. `mask` is boolean, of the shape of the
    source volume `(slices, rows, columns)`, or None.
    """

    stamp: ModelStamp
    series_uid: str
    input_digest: str
    findings: tuple[Finding, ...]
    measurements: tuple[Measurement, ...] = ()
    boxes: tuple[Box, ...] = ()
    priority_score: int | None = None
    urgency: Urgency = Urgency.NONE
    mask: npt.NDArray[np.bool_] | None = None
    mask_concept: Code | None = None
    features: npt.NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    input_check: InputCheck = NOT_CHECKED

    def __post_init__(self) -> None:
        if self.priority_score is not None and not 0 <= self.priority_score <= 100:
            raise ValueError("priority_score must lie in 0..100")
