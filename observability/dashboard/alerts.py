"""When somebody is told: Prometheus' alert rules, each with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from observability.dashboard.panels import FAILED_SHARE, WINDOW, came_to


class Severity(StrEnum):
    PAGE = "page"  # somebody gets up
    TICKET = "ticket"  # somebody looks on the next day


@dataclass(frozen=True, slots=True)
class Alert:
    """Fires when `expr` has held for `lasting`. `summary` says what is, `todo` what a person does."""

    name: str
    expr: str
    lasting: str
    severity: Severity
    summary: str
    todo: str


DELIVERED: Final = came_to("delivered")
PROCESSED: Final = came_to("processed")
ALERTS: Final = (
    Alert(
        "SerinusDown",
        'up{job="serinus"} == 0',
        "2m",
        Severity.PAGE,
        "Serinus answers no scrape: no study is accepted, or its ledger is away.",
        "serinus status says what is down and what to do.",
    ),
    Alert(
        "SerinusStudiesFail",
        f"({FAILED_SHARE}) > 0.1",
        "10m",
        Severity.PAGE,
        "More than one attempt in ten fails.",
        "The panel 'Errors by code' names the cause; a source that is away is tried again by itself.",
    ),
    Alert(
        "SerinusJobsStand",
        'sum(serinus_jobs{state=~"queued|running"}) > 0 and sum(increase(serinus_studies_total[15m])) == 0',
        "15m",
        Severity.PAGE,
        "Jobs are open and none has ended for a quarter of an hour.",
        "serinus status; a champion that hangs is replaced by itself within minutes.",
    ),
    Alert(
        "SerinusDeadLetters",
        "serinus_dead_letters > 0",
        "5m",
        Severity.TICKET,
        "Results were given up that nobody took.",
        "serinus status names the destination; send the study again once it answers.",
    ),
    Alert(
        "SerinusShadowsStarve",
        "serinus_oldest_shadow_age_seconds > 3600",
        "10m",
        Severity.TICKET,
        "A shadow has waited for more than an hour, and a rollout for its evidence.",
        "More replicas of the shadow's version, or serinus route discard for one that never runs again.",
    ),
    Alert(
        "SerinusUrgentStudyWaits",
        'max(serinus_oldest_queued_job_age_seconds{priority=~"stat|urgent"}) > 300',
        "2m",
        Severity.PAGE,
        "A STAT or urgent study has waited for a worker for more than five minutes.",
        "serinus status; the panel 'Errors by code' says whether it is tried again, 'Use of replicas' who is busy.",
    ),
    Alert(
        "SerinusQueueStands",
        "max(serinus_oldest_queued_job_age_seconds) > 7200",
        "10m",
        Severity.TICKET,
        "A study has waited for a worker for more than two hours.",
        "More replicas of its version if 'Use of replicas' is high; else serinus status names what it waits for.",
    ),
    Alert(
        "SerinusResultsUndelivered",
        f"{DELIVERED} / {PROCESSED} < 0.9 and {PROCESSED} > 20",
        "1h",
        Severity.TICKET,
        "Of the studies of a day that {{ $labels.model }} read, one in ten was taken by nobody.",
        "serinus status names the destination; callers who neither wait nor ask to be called back fetch the result.",
    ),
    Alert(
        "SerinusApiFails",
        f'sum(rate(serinus_api_errors_total{{status=~"5.."}}[{WINDOW}])) > 0.1',
        "10m",
        Severity.TICKET,
        "Callers have been answered by a server error every ten seconds for ten minutes.",
        "The panel 'API errors' names the code; `warming` and `ledger-unavailable` pass by themselves.",
    ),
    Alert(
        "SerinusAlarms",
        "serinus_alarms > 0",
        "10m",
        Severity.TICKET,
        "serinus status shows alarms.",
        "serinus status tells each in a sentence.",
    ),
    Alert(
        "SerinusSilent",
        "absent(serinus_studies_total)",
        "1h",
        Severity.TICKET,
        "Nothing was ever told of a study: no controller adds records up, or none came since the start.",
        "serinus status; the log of RolloutController has `chore.failed`.",
    ),
    Alert(
        "SerinusCostsDoNotSumToTheBill",
        "abs(sum(serinus_cost_today) - sum(serinus_bill_today)) > 0.001 * sum(serinus_bill_today)",
        "10m",
        Severity.TICKET,
        "What studies cost and what was paid differ by more than a thousandth.",
        "serinus cost report --by line; trust no cost until both agree.",
    ),
    Alert(
        "SerinusDriftAlarm",
        'serinus_drift_state{state="alarm"} > 0',
        "5m",
        Severity.TICKET,
        "What a version reads is no longer what a person called normal.",
        "serinus drift report MODEL says where and since when; review what comes from there, then "
        "serinus drift acknowledge, or accept what came.",
    ),
    Alert(
        "SerinusDriftNotArmed",
        'serinus_drift_state{state="not-armed"} > 0',
        "7d",
        Severity.TICKET,
        "A version has a reference for drift and no signal of it is watched.",
        "serinus drift report MODEL says what the reference lacks; accept a longer one.",
    ),
)


def rules() -> dict[str, Any]:
    """The rule file of Prometheus, as a document."""
    return {
        "groups": [
            {
                "name": "serinus",
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": alert.expr,
                        "for": alert.lasting,
                        "labels": {"severity": alert.severity.value},
                        "annotations": {"summary": alert.summary, "todo": alert.todo},
                    }
                    for alert in ALERTS
                ],
            }
        ]
    }
