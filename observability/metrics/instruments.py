"""Every metric, with its unit, its labels and, of a histogram, its buckets. Names follow OpenMetrics 1.0."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SECONDS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    1200.0,
    3600.0,
)
"""From a film that is read in milliseconds to a CT that waits for its turn."""
LONG_SECONDS: Final = (
    *(0.25, 1.0, 5.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0, 28800.0, 86400.0),
)
"""From a caller who waits to a report that an archive takes on the next day."""
SHARES: Final = (0.25, 0.5, 0.75, 0.9, 1.0)


class Kind(StrEnum):
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """`name` without the suffix `_total` of a counter; `labels` in the order in which values are given.

    `most` sets of their values are told apart; 0: as many as there is room for.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    most: int = 0

    def __post_init__(self) -> None:
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError("a histogram, and nothing else, has buckets")
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError("a name ends with its unit")

    def fits(self, labels: tuple[str, ...], counts: tuple[int, ...]) -> bool:
        """Whether a series is of this form; another release may have counted it in another."""
        buckets = len(self.buckets) + 1 if self.buckets else 0
        return len(labels) == len(self.labels) and len(counts) == buckets

    @property
    def lines(self) -> int:
        """How many series of the database one set of label values takes."""
        return len(self.buckets) + 3 if self.buckets else 1


def _counter(name: str, help_: str, *labels: str, unit: str = "") -> Instrument:
    return Instrument(name, Kind.COUNTER, help_, labels, unit)


def _duration(name: str, help_: str, *labels: str) -> Instrument:
    return Instrument(name, Kind.HISTOGRAM, help_, labels, "seconds", SECONDS)


def _share(name: str, help_: str, *labels: str) -> Instrument:
    return Instrument(name, Kind.HISTOGRAM, help_, labels, "ratio", SHARES)


def _gauge(name: str, help_: str, *labels: str, unit: str = "") -> Instrument:
    return Instrument(name, Kind.GAUGE, help_, labels, unit)


STUDIES: Final = _counter(
    "serinus_studies", "Attempts at a study, by how they ended.", "model", "modality", "outcome", "error_code"
)
STUDY_SECONDS: Final = _duration(
    "serinus_study_duration_seconds",
    "From accepted to read, without the time of the writing.",
    "model",
    "modality",
)
STAGE_SECONDS: Final = _duration(
    "serinus_stage_duration_seconds",
    "One stage of an attempt, of the version's own stages too.",
    "stage",
    "modality",
)
INFERENCES: Final = _counter(
    "serinus_inferences",
    "Readings of a study by a version, by its role and how they ended.",
    "model",
    "version",
    "variant",
    "role",
    "outcome",
)
INFERENCE_SECONDS: Final = _duration(
    "serinus_inference_duration_seconds",
    "A version's own stages: prepare, wait, forward, interpret.",
    "model",
    "version",
    "variant",
    "role",
)
BYTES_IN: Final = _counter(
    "serinus_received_bytes", "Bytes of DICOM that readings were made of.", "modality", unit="bytes"
)
INPUT_CHECKS: Final = _counter(
    "serinus_input_checks", "Verdicts of a version's input check.", "model", "version", "verdict"
)
POSITIVES: Final = _counter(
    "serinus_positive_findings", "Findings of p ≥ 0.5, by code.", "model", "version", "role", "finding"
)
CASES: Final = Instrument(
    "serinus_cases",
    Kind.COUNTER,
    "Studies that were read, by what was examined.",
    ("modality", "body_part"),
    most=60,
)
SCANNERS: Final = Instrument(
    "serinus_scanner_cases",
    Kind.COUNTER,
    "Studies that were read, by the model of the scanner.",
    ("modality", "scanner"),
    most=60,
)
BUSY: Final = _counter(
    "serinus_busy_seconds",
    "Time that the networks of a version computed, of a forward that studies share each its part.",
    "model",
    "version",
    "device",
    unit="seconds",
)
FORWARD_STUDIES: Final = Instrument(
    "serinus_forward_studies",
    Kind.HISTOGRAM,
    "How many studies shared the forward of a study.",
    ("model", "version"),
    buckets=(1.0, 2.0, 4.0, 8.0),
)
GPU_BUSY: Final = _share(
    "serinus_gpu_busy_ratio",
    "Share of the last moment in which the GPU computed, after readings.",
    "model",
    "version",
)
GPU_MEMORY: Final = _share(
    "serinus_gpu_memory_ratio",
    "Share of the GPU's memory that was taken, after readings.",
    "model",
    "version",
)
FUNNEL: Final = _counter(
    "serinus_funnel", "Studies that have come to a step, each once for a model.", "model", "step"
)
TURNAROUND_SECONDS: Final = Instrument(
    "serinus_turnaround_seconds",
    Kind.HISTOGRAM,
    "From accepted to delivered: taken by its source, by its callback, or given to its caller.",
    ("model", "priority"),
    "seconds",
    LONG_SECONDS,
)
API_ERRORS: Final = Instrument(
    "serinus_api_errors",
    Kind.COUNTER,
    "Answers that were errors, by the problem's code and HTTP status.",
    ("code", "status"),
    most=100,
)
OF_RECORDS: Final = (
    STUDIES,
    STUDY_SECONDS,
    STAGE_SECONDS,
    INFERENCES,
    INFERENCE_SECONDS,
    BYTES_IN,
    INPUT_CHECKS,
    POSITIVES,
    FUNNEL,
    TURNAROUND_SECONDS,
    API_ERRORS,
    CASES,
    SCANNERS,
    BUSY,
    FORWARD_STUDIES,
    GPU_BUSY,
    GPU_MEMORY,
)
"""What is added up: of the records, of the marks of studies, and of answers."""

JOBS: Final = _gauge("serinus_jobs", "Jobs of the last day by state.", "state")
PENDING_SHADOWS: Final = _gauge("serinus_pending_shadows", "Shadows to come.", "model", "version")
OLDEST_SHADOW: Final = _gauge(
    "serinus_oldest_shadow_age_seconds", "Age of the oldest shadow to come.", unit="seconds"
)
DEAD_LETTERS: Final = _gauge("serinus_dead_letters", "Deliveries that were given up.")
VARIANTS: Final = _gauge(
    "serinus_variant", "1 for each version with a role, by its state.", "model", "version", "role", "state"
)
ROLLOUT_WEIGHT: Final = _gauge(
    "serinus_rollout_weight_ratio",
    "Share of the patients that a rollout grants its candidate.",
    "model",
    "candidate",
    "phase",
    unit="ratio",
)
QUEUED: Final = _gauge("serinus_queued_jobs", "Jobs that wait for a worker.", "priority")
OLDEST_QUEUED: Final = _gauge(
    "serinus_oldest_queued_job_age_seconds",
    "Since when the oldest job that waits for a worker was accepted; 0 without any.",
    "priority",
    unit="seconds",
)
REPLICAS: Final = _gauge("serinus_replicas", "Replicas of a version that live.", "model", "version")
ALARMS: Final = _gauge("serinus_alarms", "Alarms that `serinus status` shows.")
REPLICAS_WANTED: Final = _gauge(
    "serinus_replicas_wanted", "Replicas that a version is to have.", "model", "version"
)
COST_TODAY: Final = _gauge(
    "serinus_cost_today",
    "What the running day (UTC) has cost, in the currency of the price book, by what it was for.",
    "line",
    "model",
    "variant",
)
BILL_TODAY: Final = _gauge(
    "serinus_bill_today", "The same, made of what was paid alone: both sums agree.", "item"
)
DRIFT_STATE: Final = _gauge(
    "serinus_drift_state", "1 for each version that was judged, by its state.", "model", "version", "state"
)
DRIFT_ARMED: Final = _gauge(
    "serinus_drift_armed", "1 for a signal that is watched somewhere, else 0.", "model", "version", "signal"
)
DRIFT_EVIDENCE: Final = _gauge(
    "serinus_drift_log_evidence",
    "A signal's part of M, as log10, over all its places.",
    "model",
    "version",
    "signal",
)
DRIFT_LIMIT: Final = _gauge(
    "serinus_drift_log_limit", "log10 of M over all signals at which it is evidence.", "model", "version"
)
DRIFT_PSI: Final = _gauge(
    "serinus_drift_psi", "Population stability index since watching began.", "model", "version", "signal"
)
OF_DRIFT: Final = (DRIFT_STATE, DRIFT_ARMED, DRIFT_EVIDENCE, DRIFT_LIMIT, DRIFT_PSI)
"""What the last look at each version in service found."""
OF_NOW: Final = (
    JOBS,
    QUEUED,
    OLDEST_QUEUED,
    PENDING_SHADOWS,
    OLDEST_SHADOW,
    DEAD_LETTERS,
    VARIANTS,
    REPLICAS,
    ROLLOUT_WEIGHT,
    ALARMS,
    REPLICAS_WANTED,
    COST_TODAY,
    BILL_TODAY,
    *OF_DRIFT,
)
"""What is asked when somebody scrapes."""
