"""Shadows, and the safety net behind a canary: what they are to read, and what their findings come to. Pure.

What such a version says becomes a `ShadowOutcome`, which no report function takes, and goes to a table of its own.
This file knows no report, no delivery and no callback (tests/unit/shell/test_shadow_fence.py keeps this true).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from canary.assignment import Assignment
from canary.disagreement import Escalation, FindingReport, FindingStatus, VersionFindings, escalations
from canary.disclosure import OF_THE_PAST, Audience, Role, audience_of
from canary.explain import decision_row
from canary.routing_table import Variant
from core.codec import from_plain, to_plain
from core.study import StudyRef
from imaging.finding import Code, Prediction, Presence, Urgency
from imaging.packed_mask import dice, unpack
from imaging.series import SeriesRule
from ledger import ClaimedShadow, ShadowTask
from models.spec import ModelSpec
from serve_apps.application.messages import FetchedStudy, Inference
from serve_apps.application.routing_snapshot import RoutingSnapshot

STATUS_OF_PRESENCE = {
    Presence.PRESENT: FindingStatus.PRESENT,
    Presence.ABSENT: FindingStatus.ABSENT,
    Presence.INDETERMINATE: FindingStatus.INDETERMINATE,
}


@dataclass(frozen=True, slots=True)
class ShadowFinding:
    """One concept as a shadow, or the safety net, saw it."""

    code: str
    meaning: str
    presence: str
    probability: float
    critical: bool


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What a version says, for evidence. Not a Prediction: it cannot become a report.

    `work_ms` is how long it worked at it, `has_mask` whether it segmented something. `overlap` is the Dice
    coefficient of its segmentation with that of whoever read the study before, None where there is none to compare.
    """

    version: str
    digest: str
    findings: tuple[ShadowFinding, ...]
    measurements: tuple[tuple[str, float], ...]
    priority_score: int | None
    work_ms: float | None = None
    has_mask: bool = False
    overlap: float | None = None

    @classmethod
    def of(cls, inference: Inference, spec: ModelSpec) -> ShadowOutcome:
        """What an inference says, and how long it took."""
        outcome = cls.from_prediction(inference.prediction, spec)
        return outcome if inference.work_ms is None else replace(outcome, work_ms=round(inference.work_ms, 3))

    @classmethod
    def from_prediction(cls, prediction: Prediction, spec: ModelSpec) -> ShadowOutcome:
        """Take from a prediction what evidence needs. `spec` says which findings are critical when present."""
        critical = critical_codes(spec)
        return cls(
            version=prediction.stamp.version,
            digest=prediction.stamp.digest,
            findings=tuple(
                ShadowFinding(
                    code=key_of(f.concept),
                    meaning=f.concept.meaning,
                    presence=f.presence.value,
                    probability=round(f.probability, 6),
                    critical=key_of(f.concept) in critical or f.urgency is Urgency.CRITICAL,
                )
                for f in prediction.findings
            ),
            measurements=tuple((key_of(m.concept), round(m.value, 3)) for m in prediction.measurements),
            priority_score=prediction.priority_score,
            has_mask=prediction.mask is not None,
        )

    @classmethod
    def from_result(cls, result: Mapping[str, Any], spec: ModelSpec) -> ShadowOutcome:
        """What a version of this spec was reported to say: the same as of the prediction that was reported."""
        critical, urgent = critical_codes(spec), Urgency.CRITICAL.value
        concepts = [(from_plain(Code, f["concept"]), f) for f in result["findings"]]
        return cls(
            version=str(result["model"]["version"]),
            digest=str(result["model"]["digest"]),
            findings=tuple(
                ShadowFinding(
                    code=key_of(concept),
                    meaning=concept.meaning,
                    presence=Presence(f["presence"]).value,
                    probability=float(f["probability"]),
                    critical=key_of(concept) in critical or f["urgency"] == urgent,
                )
                for concept, f in concepts
            ),
            measurements=tuple(
                (key_of(from_plain(Code, m["concept"])), float(m["value"])) for m in result["measurements"]
            ),
            priority_score=result["priority_score"],
        )

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = to_plain(self)
        return document


def critical_codes(spec: ModelSpec) -> frozenset[str]:
    """The findings that are critical when a version of this spec sees them."""
    return frozenset(key_of(f.concept) for f in spec.output.findings if f.urgency is Urgency.CRITICAL)


def key_of(concept: Code) -> str:
    return f"{concept.value}@{concept.scheme}"


@dataclass(frozen=True, slots=True)
class DeliveredInference:
    """What the caller was told of a study, and how another version finds the very same series again.

    `study` is narrowed to the series that was read, and `rule` is the one that chose it. `mask` is the segmentation,
    packed. With an `error` the caller was told that: the version of the `outcome` failed.
    """

    model: str
    study: StudyRef
    rule: SeriesRule
    outcome: ShadowOutcome
    mask: bytes | None = field(default=None, repr=False)
    error: str | None = None

    @classmethod
    def of(
        cls, study: StudyRef, fetched: FetchedStudy, inference: Inference, spec: ModelSpec
    ) -> DeliveredInference:
        narrowed = replace(study, series_uids=(inference.prediction.series_uid,))
        return cls(fetched.model, narrowed, fetched.rule, ShadowOutcome.of(inference, spec))

    @classmethod
    def failed(
        cls, study: StudyRef, fetched: FetchedStudy, champion: Variant, error: str
    ) -> DeliveredInference:
        """The champion failed in the end: whoever reads the study then finds its series by the rule."""
        nothing = ShadowOutcome(champion.version, champion.digest, (), (), None)
        return cls(fetched.model, study, fetched.rule, nothing, error=error)

    def as_json(self) -> dict[str, Any]:
        said = self.outcome.as_json()
        return said if self.error is None else {**said, "error": self.error}


def shadow_tasks_of(
    delivered: DeliveredInference, assignment: Assignment, champion: Variant
) -> tuple[ShadowTask, ...]:
    """Who else is to read the study: every shadow that drew it, and the champion behind a canary."""
    is_net_due = assignment.safety_net and delivered.outcome.version != champion.version
    readers = [(Role.SHADOW, shadow) for shadow in assignment.shadows]
    if is_net_due:
        readers.insert(0, (Role.SAFETY_NET, champion))
    return tuple(_task(delivered, assignment, role, variant) for role, variant in readers)


def _task(delivered: DeliveredInference, assignment: Assignment, role: Role, variant: Variant) -> ShadowTask:
    row = decision_row(assignment, delivered.model, role=role.value, outcome="due")
    return ShadowTask(
        model=delivered.model,
        version=variant.version,
        app=variant.app,
        variant=variant.name,
        role=role.value,
        study=delivered.study,
        rule=to_plain(delivered.rule),
        decision=replace(row, digest=variant.digest),
        delivered=delivered.as_json(),
        mask=delivered.mask,
    )


def overlap_of(task: ShadowTask, prediction: Prediction) -> float | None:
    """The Dice coefficient of the version's segmentation with the delivered one. The champion's is the reference:

    0 where the champion segmented and the candidate did not; None without a reference, and where the delivered mask
    was not kept or is of another series. Takes as long as two masks are large.
    """
    here, delivered = prediction.mask is not None, bool(task.delivered.get("has_mask", False))
    has_reference, has_other = (here, delivered) if task.role == Role.SAFETY_NET else (delivered, here)
    if not has_reference:
        return None
    if not has_other:
        return 0.0
    if task.mask is None or prediction.mask is None:
        return None
    other = unpack(task.mask)
    return round(dice(prediction.mask, other), 6) if other.shape == prediction.mask.shape else None


def rule_of(task: ShadowTask) -> SeriesRule:
    """The rule by which the delivered inference chose its series."""
    return from_plain(SeriesRule, task.rule)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An escalation, and who may hear of it."""

    escalation: Escalation
    audience: Audience


def disagreements_of(
    claimed: ClaimedShadow, outcome: ShadowOutcome, newest: RoutingSnapshot
) -> tuple[Disagreement, ...]:
    """Critical findings that the delivered or this version saw and the other missed.

    Nobody was told anything by a version that failed, so nothing disagrees with it. None of a study of the past
    either: its patient does not wait, and an alarm would say that he does.
    """
    if Role(claimed.role) in OF_THE_PAST:
        return ()
    said = claimed.delivered
    if "error" in said:
        return ()
    delivered = VersionFindings("delivered", str(said["version"]), True, reports_of(said["findings"]))
    other = VersionFindings(
        claimed.variant, outcome.version, False, reports_of(outcome.as_json()["findings"])
    )
    audience = audience_of(Role(claimed.role), may_answer=may_answer_now(claimed.app, outcome, newest))
    return tuple(Disagreement(e, audience) for e in escalations(delivered, other))


def may_answer_now(app: str, outcome: ShadowOutcome, newest: RoutingSnapshot) -> bool | None:
    """The gate's verdict on this very artifact in the newest snapshot; None where that does not know it."""
    endpoint = newest.endpoints.get(app)
    if endpoint is None or endpoint.digest != outcome.digest:
        return None
    return endpoint.may_answer


def reports_of(findings: Iterable[Mapping[str, Any]]) -> tuple[FindingReport, ...]:
    """The findings of an outcome as JSON, for a comparison."""
    return tuple(
        FindingReport(
            f["code"], f["meaning"], STATUS_OF_PRESENCE[Presence(f["presence"])], bool(f["critical"])
        )
        for f in findings
    )
