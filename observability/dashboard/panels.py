"""The panels of the dashboard, each with its PromQL. Grafana's file and our own page are made of this list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

WINDOW: Final = "5m"
"""Over which rates are taken: a study comes every few minutes at a hospital of 400 a day."""

DAY: Final = "1d"


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
    """`tells` is one sentence: what a person reads off it, and what is normal.

    `may_be_empty` of a panel that has nothing to show at a site where all is well, or that has no GPU.
    """

    title: str
    tells: str
    unit: Unit
    queries: tuple[Query, ...]
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    panels: tuple[Panel, ...]


def rate(counter: str, by: str = "") -> str:
    """Per second, summed over all other labels; of one that never moved, nothing."""
    return f"sum by ({by}) (rate({counter}[{WINDOW}]))" if by else f"sum(rate({counter}[{WINDOW}]))"


def quantile(q: float, histogram: str, by: str) -> str:
    return f"histogram_quantile({q:g}, sum by (le, {by}) (rate({histogram}_bucket[{WINDOW}])))"


def came_to(step: str) -> str:
    """How many studies of a model came to the step within a day."""
    return f'sum by (model) (increase(serinus_funnel_total{{step="{step}"}}[{DAY}]))'


def funnel_share(step: str) -> str:
    """Of a model's eligible studies of the last day, the share that came to the step."""
    return f"{came_to(step)} / {came_to('eligible')}"


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
            may_be_empty=True,
        ),
        Panel(
            "API errors",
            "Answers that were errors, by code. Normal are a few 404 and 409 of whoever asks too early.",
            Unit.PER_SECOND,
            (Query(rate("serinus_api_errors_total", "code, status"), "{{code}} {{status}}"),),
            may_be_empty=True,
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
    ),
)

CASE_MIX: Final = Section(
    "Case mix and use",
    (
        Panel(
            "Case mix by modality",
            "Studies a second by modality: a change here is a change of what comes, not of a model.",
            Unit.PER_SECOND,
            (Query(rate("serinus_studies_total", "modality"), "{{modality}}"),),
        ),
        Panel(
            "Case mix by body part",
            "Studies a second that were read, by what was examined.",
            Unit.PER_SECOND,
            (Query(rate("serinus_cases_total", "modality, body_part"), "{{modality}} {{body_part}}"),),
        ),
        Panel(
            "Case mix by scanner",
            "Studies a second that were read, by the model of the scanner. A new one is a reason to look at drift.",
            Unit.PER_SECOND,
            (Query(rate("serinus_scanner_cases_total", "modality, scanner"), "{{modality}} {{scanner}}"),),
        ),
        Panel(
            "Funnel",
            "Studies of the last day at each step: eligible, processed, delivered, opened, confirmed.",
            Unit.NUMBER,
            (Query(f"sum by (model, step) (increase(serinus_funnel_total[{DAY}]))", "{{model}} {{step}}"),),
        ),
        Panel(
            "Share that comes to the next step",
            "Of the eligible studies of the last day. Few opened results are a tool that nobody uses.",
            Unit.SHARE,
            tuple(
                Query(funnel_share(step), f"{{{{model}}}} {step}")
                for step in ("processed", "delivered", "opened", "confirmed")
            ),
        ),
        Panel(
            "Turnaround",
            "From accepted to delivered, half of the studies and all but one in twenty, by priority.",
            Unit.SECONDS,
            (
                Query(quantile(0.5, "serinus_turnaround_seconds", "priority"), "{{priority}} median"),
                Query(quantile(0.95, "serinus_turnaround_seconds", "priority"), "{{priority}} 95 %"),
            ),
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
                    quantile(0.95, "serinus_inference_duration_seconds", "model, version, variant, role"),
                    "{{model}} {{version}} {{variant}} {{role}}",
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
        Panel(
            "Replicas",
            "Replicas of a version that live.",
            Unit.NUMBER,
            (Query("sum by (model, version) (serinus_replicas)", "{{model}} {{version}}"),),
        ),
        Panel(
            "Use of replicas",
            "Share of its replicas' time in which a version's network computes. Above 80 % studies wait for it.",
            Unit.SHARE,
            (
                Query(
                    f"{rate('serinus_busy_seconds_total', 'model, version')}"
                    " / sum by (model, version) (serinus_replicas > 0)",
                    "{{model}} {{version}}",
                ),
            ),
        ),
        Panel(
            "Studies in a forward",
            "How many studies share a forward on a GPU; a CPU takes one at a time.",
            Unit.NUMBER,
            (
                Query(
                    f"{rate('serinus_forward_studies_sum', 'model, version')}"
                    f" / {rate('serinus_forward_studies_count', 'model, version')}",
                    "{{model}} {{version}}",
                ),
            ),
        ),
        Panel(
            "GPU",
            "Shares of the GPU's time and memory in use, as seen after readings. Without a GPU it is empty.",
            Unit.SHARE,
            tuple(
                Query(
                    f"{rate(f'serinus_gpu_{what}_ratio_sum', 'model, version')}"
                    f" / {rate(f'serinus_gpu_{what}_ratio_count', 'model, version')}",
                    f"{{{{model}}}} {{{{version}}}} {what}",
                )
                for what in ("busy", "memory")
            ),
            may_be_empty=True,
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
            may_be_empty=True,
        ),
        Panel(
            "Jobs that wait for a worker",
            "By priority. Some are normal in the morning; a number that only rises is not.",
            Unit.NUMBER,
            (Query("sum by (priority) (serinus_queued_jobs)", "{{priority}}"),),
        ),
        Panel(
            "Age of the oldest job that waits",
            "By priority. STAT waits for no other; a routine study waits for a few minutes at most.",
            Unit.SECONDS,
            (Query("max by (priority) (serinus_oldest_queued_job_age_seconds)", "{{priority}}"),),
        ),
        Panel(
            "Shadows to come",
            "Readings that nobody waits for. They wait while studies come without a pause.",
            Unit.NUMBER,
            (Query("sum by (model, version) (serinus_pending_shadows)", "{{model}} {{version}}"),),
            may_be_empty=True,
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
        Panel(
            "Replicas wanted",
            "What waits for a version, and the hours of its schedule, ask for so many. Zero: it sleeps.",
            Unit.NUMBER,
            (Query("sum by (model, version) (serinus_replicas_wanted)", "{{model}} {{version}}"),),
        ),
    ),
)

COSTS: Final = Section(
    "Costs",
    (
        Panel(
            "Cost of the day by line",
            "What the running day (UTC) has cost so far, in the currency of the price book. docs/costs.md",
            Unit.NUMBER,
            (Query("sum by (line) (serinus_cost_today)", "{{line}}"),),
        ),
        Panel(
            "Cost of the day by model and variant",
            "Time that no study used has no variant; what is there for all versions has no model.",
            Unit.NUMBER,
            (Query("sum by (model, variant) (serinus_cost_today)", "{{model}} {{variant}}"),),
        ),
        Panel(
            "Bill of the day",
            "Made of what was paid alone. The costs beside it sum to the same.",
            Unit.NUMBER,
            (Query("serinus_bill_today", "{{item}}"),),
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

SECTIONS: Final = (STUDIES, CASE_MIX, VERSIONS, PLATFORM, COSTS, DRIFT)
PANELS: Final = tuple(panel for section in SECTIONS for panel in section.panels)
