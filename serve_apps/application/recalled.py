"""A recalled study: what was delivered of it, what the champion says, and the task to have it read again. Pure.

What the champion says here is a shadow's outcome: it becomes no report and no delivery. A result that some job has is
only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from canary.disclosure import Role
from canary.explain import DecisionRow
from canary.recall import SaidOfStudy
from canary.routing_table import Variant
from core.codec import to_plain
from imaging.finding import Urgency
from imaging.series import SeriesRule
from ledger import ShadowTask, ToReread
from serve_apps.application.shadow import reports_of


def outcome_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored result says, in the form in which the ledger keeps a shadow's outcome.

    Nothing of no result, and of one that a former release wrote in another form.
    """
    try:
        return _outcome(result)
    except (KeyError, TypeError):
        return {}


def _outcome(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": result["model"]["version"],
        "digest": result["model"]["digest"],
        "findings": [
            {
                "code": _key(finding["concept"]),
                "meaning": finding["concept"]["meaning"],
                "presence": finding["presence"],
                "probability": finding["probability"],
                "critical": finding["urgency"] == Urgency.CRITICAL.value,
            }
            for finding in result["findings"]
        ],
        "measurements": [[_key(one["concept"]), one["value"]] for one in result["measurements"]],
        "priority_score": result["priority_score"],
    }


def said_in(outcome: Mapping[str, Any]) -> SaidOfStudy:
    """An outcome as the ledger keeps it, for the comparison."""
    return SaidOfStudy(
        version=str(outcome.get("version", "")),
        findings=reports_of(outcome.get("findings", ())),
        priority_score=outcome.get("priority_score"),
        measurements={code: float(value) for code, value in outcome.get("measurements", ())},
    )


def reading_in(
    results: Iterable[Mapping[str, Any]], version: str, series_uid: str
) -> Mapping[str, Any] | None:
    """What the version said of the series in the first of some results that is its own; None if there is none."""
    for result in results:
        outcome = outcome_of(result)
        if outcome and (outcome["version"], result.get("series_uid")) == (version, series_uid):
            return outcome
    return None


def recall_task(item: ToReread, decision: DecisionRow, champion: Variant, rule: SeriesRule) -> ShadowTask:
    """Have the champion read the series that the delivered result is of. Raises ValueError without a study."""
    if item.study is None:
        raise ValueError("the study can no longer be named")
    return ShadowTask(
        model=decision.model,
        version=champion.version,
        app=champion.app,
        variant=champion.name,
        role=Role.RECALL.value,
        study=item.study,
        rule=to_plain(rule),
        decision=replace(decision, digest=champion.digest),
        delivered=item.delivered,
    )


def _key(concept: Mapping[str, str]) -> str:
    return f"{concept['value']}@{concept['scheme']}"
