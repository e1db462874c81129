"""Silent readings: shadows, and the safety net behind a canary. Late, but never lost; heard by nobody.

What a silent reader says becomes a `ShadowOutcome`, which no report function takes, and goes to a table of its
own. This file knows no report, no delivery and no callback (tests/unit/shell/test_shadow_fence.py reads its
imports).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from canary.assignment import Assignment
from canary.disagreement import Escalation, FindingReport, FindingStatus, VersionFindings, escalations
from canary.explain import decision_row
from canary.routing_table import Variant
from core.study import StudyRef
from imaging.finding import Prediction, Presence, Urgency
from ledger import ShadowTask
from models.spec import ModelSpec

SHADOW, SAFETY_NET = "shadow", "safety-net"
STATUS_OF_PRESENCE = {
    Presence.PRESENT: FindingStatus.PRESENT,
    Presence.ABSENT: FindingStatus.ABSENT,
    Presence.INDETERMINATE: FindingStatus.INDETERMINATE,
}


@dataclass(frozen=True, slots=True)
class ShadowFinding:
    """One concept as a silent reader saw it."""

    code: str
    meaning: str
    presence: str
    probability: float
    critical: bool


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What a version said in silence. Not a Prediction: it cannot become a report."""

    version: str
    digest: str
    findings: tuple[ShadowFinding, ...]
    measurements: tuple[tuple[str, float], ...]
    priority_score: int | None

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "digest": self.digest,
            "priority_score": self.priority_score,
            "findings": [
                {
                    "code": f.code,
                    "meaning": f.meaning,
                    "presence": f.presence,
                    "probability": f.probability,
                    "critical": f.critical,
                }
                for f in self.findings
            ],
            "measurements": [list(pair) for pair in self.measurements],
        }


def silenced(prediction: Prediction, critical: frozenset[str]) -> ShadowOutcome:
    """Take from a prediction what evidence needs. `critical` are the codes that are critical when present."""
    return ShadowOutcome(
        version=prediction.stamp.version,
        digest=prediction.stamp.digest,
        findings=tuple(
            ShadowFinding(
                code=f"{f.concept.value}@{f.concept.scheme}",
                meaning=f.concept.meaning,
                presence=f.presence.value,
                probability=round(f.probability, 6),
                critical=f"{f.concept.value}@{f.concept.scheme}" in critical or f.urgency is Urgency.CRITICAL,
            )
            for f in prediction.findings
        ),
        measurements=tuple(
            (f"{m.concept.value}@{m.concept.scheme}", round(m.value, 3)) for m in prediction.measurements
        ),
        priority_score=prediction.priority_score,
    )


def critical_codes(spec: ModelSpec) -> frozenset[str]:
    """The findings that are critical when a version of this spec sees them."""
    return frozenset(
        f"{f.concept.value}@{f.concept.scheme}" for f in spec.output.findings if f.urgency is Urgency.CRITICAL
    )


def shadow_tasks_of(
    model: str, study: StudyRef, assignment: Assignment, champion: Variant, delivered: ShadowOutcome
) -> tuple[ShadowTask, ...]:
    """The readings that a study owes: every shadow that drew it, and the champion behind a canary."""
    net = [(SAFETY_NET, champion)] if assignment.safety_net and delivered.version != champion.version else []
    readers = [*net, *((SHADOW, shadow) for shadow in assignment.shadows)]
    return tuple(_task(model, study, assignment, role, variant, delivered) for role, variant in readers)


def _task(
    model: str,
    study: StudyRef,
    assignment: Assignment,
    role: str,
    variant: Variant,
    delivered: ShadowOutcome,
) -> ShadowTask:
    row = replace(decision_row(assignment, model, role=role, outcome="due"), digest=variant.digest)
    return ShadowTask(
        model=model,
        version=variant.version,
        app=variant.app,
        variant=variant.name,
        role=role,
        study=study,
        decision=row,
        delivered=delivered.as_json(),
    )


def disagreements(
    delivered: Mapping[str, Any], silent: ShadowOutcome, variant: str
) -> tuple[Escalation, ...]:
    """Critical findings that one of the two readings saw and the other missed."""
    mine = VersionFindings("delivered", str(delivered["version"]), True, _reports(delivered["findings"]))
    other = VersionFindings(variant, silent.version, False, _reports(silent.as_json()["findings"]))
    return escalations(mine, other)


def _reports(findings: Iterable[Mapping[str, Any]]) -> tuple[FindingReport, ...]:
    return tuple(
        FindingReport(
            f["code"], f["meaning"], STATUS_OF_PRESENCE[Presence(f["presence"])], bool(f["critical"])
        )
        for f in findings
    )
