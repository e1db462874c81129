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


class Kind(StrEnum):
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """`name` without the suffix `_total` of a counter; `labels` in the order in which values are given."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError("a histogram, and nothing else, has buckets")
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError("a name ends with its unit")

    @property
    def lines(self) -> int:
        """How many series of the database one set of label values takes."""
        return len(self.buckets) + 3 if self.buckets else 1


def _counter(name: str, help_: str, *labels: str, unit: str = "") -> Instrument:
    return Instrument(name, Kind.COUNTER, help_, labels, unit)


def _duration(name: str, help_: str, *labels: str) -> Instrument:
    return Instrument(name, Kind.HISTOGRAM, help_, labels, "seconds", SECONDS)


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
OF_RECORDS: Final = (
    STUDIES,
    STUDY_SECONDS,
    STAGE_SECONDS,
    INFERENCES,
    INFERENCE_SECONDS,
    BYTES_IN,
    INPUT_CHECKS,
    POSITIVES,
)
"""What the records add up to."""

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
ALARMS: Final = _gauge("serinus_alarms", "Alarms that `serinus status` shows.")
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
    PENDING_SHADOWS,
    OLDEST_SHADOW,
    DEAD_LETTERS,
    VARIANTS,
    ROLLOUT_WEIGHT,
    ALARMS,
    *OF_DRIFT,
)
"""What is asked when somebody scrapes."""
