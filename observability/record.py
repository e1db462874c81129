"""What was done with one study, as values: the source of traces, metrics, drift, cost and analysis.

No field holds a patient datum. A study is known by its keyed pseudonym (`observability.redaction`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from observability.names import Stage

UNKNOWN: Final = "unknown"


class Outcome(StrEnum):
    """How a study, or one variant's reading of it, ended."""

    OK = "ok"
    REFUSED = "refused"  # outside intended use, out of distribution, or no series that can be read
    FAILED = "failed"
    LATE = "late"  # deadline passed
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage from `start_ns` to `end_ns`, nanoseconds since the Unix epoch; `error_code` if it failed.

    `replica` names the process that carried it out, where it is not the one of the reading.
    """

    stage: Stage
    start_ns: int
    end_ns: int
    error_code: str | None = None
    replica: str = ""

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            raise ValueError("a stage cannot end before it starts")

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What was read, in terms that fit thousands of patients. `spacing_mm` is (slices, rows, columns)."""

    modality: str
    body_part: str = ""
    slices: int = 0
    rows: int = 0
    columns: int = 0
    spacing_mm: tuple[float, float, float] | None = None
    slice_thickness_mm: float | None = None
    manufacturer: str = ""
    scanner: str = ""  # ManufacturerModelName, never a serial number or station name
    kernel: str = ""
    age: str = ""  # a decade, as `0-9` and `80+`
    sex: str = ""
    signals: tuple[tuple[str, float], ...] = ()  # of exposure and pixels, by name


@dataclass(frozen=True, slots=True)
class InferenceRecord:
    """One variant's reading of one study. `delivered` says whether this was the caller's answer.

    `scores` are (concept code, probability in [0, 1]); `attempt` counts from 1; `device`: `cpu`, `cuda:0`, ….
    `input_distance` counts in limits of the version's input check. `role` is what the version was asked for:
    `answered`, `failed` (it was to answer and did not), or a reading that nobody waits for (`shadow`, `replay`, …).
    `replica` names the process that read. `finding_names` say in words what the codes of `scores` mean, in their
    order. `batch_size` studies were read in its forward pass: those of one replica that began it at the same time.
    `gpu_busy` and `gpu_memory` are shares of the GPU's time and memory that were in use just then, None where nobody
    looked. `present` are the codes of what the version called present; None in records of an older release.
    """

    study_key: str
    model: str
    version: str
    digest: str
    variant: str
    outcome: Outcome
    delivered: bool
    stages: tuple[StageTiming, ...]
    error_code: str | None = None
    bytes_in: int = 0
    device: str = "cpu"
    attempt: int = 1
    site: str = ""
    facts: InputFacts | None = None
    scores: tuple[tuple[str, float], ...] = ()
    priority_score: int | None = None
    input_check: str = ""
    input_distance: float | None = None
    replica: str = ""
    role: str = "answered"
    finding_names: tuple[str, ...] = ()
    batch_size: int = 1
    gpu_busy: float | None = None
    gpu_memory: float | None = None
    present: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.attempt < 1 or self.bytes_in < 0 or self.batch_size < 1:
            raise ValueError("an attempt counts from 1, so do the studies of a forward, and bytes_in from 0")
        if self.outcome is Outcome.OK and self.error_code is not None:
            raise ValueError("a reading that succeeded has no error code")
        if self.delivered and self.outcome is not Outcome.OK:
            raise ValueError("only a reading that succeeded can be delivered")


@dataclass(frozen=True, slots=True)
class StudyTrace:
    """One study from its request to its report, or one reading of it that nobody waits for (`is_live` is False).

    `traceparent` is the caller's W3C header, if it sent one and is trusted. `failed_at` is the stage that was under
    way when the study failed.
    """

    study_key: str
    start_ns: int
    end_ns: int
    outcome: Outcome
    stages: tuple[StageTiming, ...] = ()
    records: tuple[InferenceRecord, ...] = ()
    error_code: str | None = None
    job_id: str | None = None
    site: str = ""
    traceparent: str | None = None
    is_live: bool = True
    failed_at: Stage | None = None

    def __post_init__(self) -> None:
        if self.end_ns < self.start_ns:
            raise ValueError("a study cannot end before it starts")

    @property
    def answer(self) -> InferenceRecord | None:
        """The reading that the caller was given, or, of one that nobody waits for, what was read."""
        told = (one for one in self.records if one.delivered or not self.is_live)
        return next(told, None)

    @property
    def subject(self) -> InferenceRecord | None:
        """The version that the trace is about: who answered, else the last one that was to."""
        return self.answer or (self.records[-1] if self.records else None)

    @property
    def modality(self) -> str:
        """`UNKNOWN` when no version read the study."""
        first = self.answer or (self.records[0] if self.records else None)
        return first.facts.modality if first and first.facts else UNKNOWN

    @property
    def trace_id(self) -> str:
        """32 hex digits, the same in every process that tells of this attempt or reading (W3C Trace Context)."""
        record = self.records[0] if self.records else None
        attempt = f"{record.role}:{record.version}:{record.attempt}" if record and not self.is_live else ""
        told = f"{self.job_id or self.study_key}:{self.start_ns}:{attempt}"
        return blake2b(told.encode(), digest_size=16, person=b"trace").hexdigest()


def stage_durations_ms(trace: StudyTrace) -> dict[Stage, float]:
    """Time by stage, in the order of `Stage`: the shared stages and those of the delivered reading."""
    delivered = [t for r in trace.records if r.delivered for t in r.stages]
    total: dict[Stage, float] = {}
    for timing in (*trace.stages, *delivered):
        total[timing.stage] = total.get(timing.stage, 0.0) + timing.duration_ms
    return {stage: total[stage] for stage in Stage if stage in total}
