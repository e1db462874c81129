"""The panels of the dashboard, each with its PromQL. Grafana's file and our own page are made of this list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WINDOW: Final = "5m"
"""Over which rates are taken: a study comes every few minutes at a hospital of 400 a day."""


class Unit(StrEnum):
    """Grafana's names."""

    SECONDS = "s"
    PER_SECOND = "reqps"
    SHARE = "percentunit"
    NUMBER = "short"
    BYTES_PER_SECOND = "Bps"


@dataclass(frozen=True, slots=True)
class Query:
    """`legend` names a line by its labels, in Grafana's braces."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """`tells` is one sentence: what a person reads off it, and what is normal."""

    title: str
    tells: str
    unit: Unit
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    panels: tuple[Panel, ...]


def rate(counter: str, by: str = "") -> str:
    """Per second, summed over all other labels; of one that never moved, nothing."""
    return f"sum by ({by}) (rate({counter}[{WINDOW}]))" if by else f"sum(rate({counter}[{WINDOW}]))"


def quantile(q: float, histogram: str, by: str) -> str:
    return f"histogram_quantile({q:g}, sum by (le, {by}) (rate({histogram}_bucket[{WINDOW}])))"


FAILED_SHARE: Final = (
    f'sum(rate(serinus_studies_total{{outcome="failed"}}[{WINDOW}]))'
    f" / sum(rate(serinus_studies_total[{WINDOW}]))"
)

STUDIES: Final = Section(
    "Studies",
    (
        Panel(
            "Studies by outcome",
            "Attempts a second. Refused are studies that no version may read; failed ones are tried again.",
            Unit.PER_SECOND,
            (Query(rate("serinus_studies_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Errors by code",
            "What kept studies from being read. Normal is nothing, or refusals of what no model reads.",
            Unit.PER_SECOND,
            (
                Query(
                    f'sum by (error_code) (rate(serinus_studies_total{{error_code!=""}}[{WINDOW}]))',
                    "{{error_code}}",
                ),
            ),
        ),
        Panel(
            "From accepted to read",
            "Half of the studies, and all but one in twenty, were read within this time.",
            Unit.SECONDS,
            (
                Query(quantile(0.5, "serinus_study_duration_seconds", "model"), "{{model}} median"),
                Query(quantile(0.95, "serinus_study_duration_seconds", "model"), "{{model}} 95 %"),
            ),
        ),
        Panel(
            "Time by stage",
            "Where a study's time goes, as the 95 % quantile of each stage.",
            Unit.SECONDS,
            (Query(quantile(0.95, "serinus_stage_duration_seconds", "stage"), "{{stage}}"),),
        ),
        Panel(
            "DICOM received",
            "Bytes a second that readings were made of.",
            Unit.BYTES_PER_SECOND,
            (Query(rate("serinus_received_bytes_total", "modality"), "{{modality}}"),),
        ),
        Panel(
            "Case mix",
            "Studies a second by modality: a change here is a change of what comes, not of a model.",
            Unit.PER_SECOND,
            (Query(rate("serinus_studies_total", "modality"), "{{modality}}"),),
        ),
    ),
)

VERSIONS: Final = Section(
    "Versions",
    (
        Panel(
            "Readings by version and role",
            "Who answers callers, who reads in silence, who failed.",
            Unit.PER_SECOND,
            (
                Query(
                    rate("serinus_inferences_total", "model, version, role"), "{{model}} {{version}} {{role}}"
                ),
            ),
        ),
        Panel(
            "Share of failed readings",
            "Of the readings of each version. A canary above its champion is what a rollout watches.",
            Unit.SHARE,
            (
                Query(
                    f'sum by (model, version) (rate(serinus_inferences_total{{outcome!="ok"}}[{WINDOW}]))'
                    f" / sum by (model, version) (rate(serinus_inferences_total[{WINDOW}]))",
                    "{{model}} {{version}}",
                ),
            ),
        ),
        Panel(
            "Time of a version's own work",
            "Prepare, wait, forward and interpret together, 95 % quantile.",
            Unit.SECONDS,
            (
                Query(
                    quantile(0.95, "serinus_inference_duration_seconds", "model, version, role"),
                    "{{model}} {{version}} {{role}}",
                ),
            ),
        ),
        Panel(
            "Positive findings",
            "Share of a version's readings with a finding of p ≥ 0.5. Champion and shadow read the same studies.",
            Unit.SHARE,
            (
                Query(
                    f"sum by (model, version, role) (rate(serinus_positive_findings_total[{WINDOW}]))"
                    f" / sum by (model, version, role) (rate(serinus_inferences_total[{WINDOW}]))",
                    "{{model}} {{version}} {{role}}",
                ),
            ),
        ),
        Panel(
            "Input check",
            "Verdicts of the version's input check: out of distribution is refused or answered as indeterminate.",
            Unit.PER_SECOND,
            (
                Query(
                    rate("serinus_input_checks_total", "model, version, verdict"),
                    "{{model}} {{version}} {{verdict}}",
                ),
            ),
        ),
        Panel(
            "Versions in service",
            "1 for each version with a role, by its state.",
            Unit.NUMBER,
            (Query("serinus_variant", "{{model}} {{version}} {{role}} {{state}}"),),
        ),
    ),
)

PLATFORM: Final = Section(
    "Rollouts and platform",
    (
        Panel(
            "Weight of rollouts",
            "Share of the patients that a rollout under way grants its candidate.",
            Unit.SHARE,
            (Query("serinus_rollout_weight_ratio", "{{model}} {{candidate}} {{phase}}"),),
        ),
        Panel(
            "Shadows to come",
            "Readings that nobody waits for. They wait while studies come without a pause.",
            Unit.NUMBER,
            (Query("sum by (model, version) (serinus_pending_shadows)", "{{model}} {{version}}"),),
        ),
        Panel(
            "Age of the oldest shadow",
            "Five minutes are normal under steady load; an hour is an alarm.",
            Unit.SECONDS,
            (Query("serinus_oldest_shadow_age_seconds", "oldest"),),
        ),
        Panel(
            "Open jobs",
            "Accepted and not yet read, or read and not yet delivered.",
            Unit.NUMBER,
            (Query('serinus_jobs{state=~"waiting|queued|running|storing"}', "{{state}}"),),
        ),
        Panel(
            "Dead letters",
            "Deliveries that were given up. Normal is none.",
            Unit.NUMBER,
            (Query("serinus_dead_letters", "dead letters"),),
        ),
        Panel(
            "Alarms",
            "What `serinus status` shows as alarms. Normal is none.",
            Unit.NUMBER,
            (Query("serinus_alarms", "alarms"),),
        ),
    ),
)

DRIFT: Final = Section(
    "Drift",
    (
        Panel(
            "Evidence of drift",
            "log10 of M by signal. Above the limit of about 3.6 a version's evidence is no chance; normal is below.",
            Unit.NUMBER,
            (
                Query("serinus_drift_log_evidence", "{{model}} {{version}} {{signal}}"),
                Query("serinus_drift_log_limit", "limit {{model}} {{version}}"),
            ),
        ),
        Panel(
            "Size of drift",
            "Population stability index by signal since watching began. Below 0.02 is too little to act on.",
            Unit.NUMBER,
            (Query("serinus_drift_psi", "{{model}} {{version}} {{signal}}"),),
        ),
        Panel(
            "Drift of versions",
            "1 for each version by its state. Normal is quiet; not-armed says nothing, an alarm waits for a person.",
            Unit.NUMBER,
            (Query("serinus_drift_state", "{{model}} {{version}} {{state}}"),),
        ),
        Panel(
            "Signals that are watched",
            "How many signals of a version have enough reference to be watched.",
            Unit.NUMBER,
            (Query("sum by (model, version) (serinus_drift_armed)", "{{model}} {{version}}"),),
        ),
    ),
)

SECTIONS: Final = (STUDIES, VERSIONS, PLATFORM, DRIFT)
PANELS: Final = tuple(panel for section in SECTIONS for panel in section.panels)
