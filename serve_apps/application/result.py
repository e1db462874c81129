"""From a Prediction to what a caller reads: the JSON result and the sentence for a worklist. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imaging.finding import Code, Finding, Prediction, Presence, Urgency
from serve_apps.api.schemas import BoxOut, CodeOut, FindingOut, MeasurementOut, ModelOut, ResultOut

RESEARCH_ONLY = "For research only: no regulator has cleared this version. Not reviewed by a radiologist."
UNREVIEWED = "Preliminary result of software. Not reviewed by a radiologist."


def to_result(
    prediction: Prediction, study_uid: str, *, sr_uid: str | None, routing: Mapping[str, Any]
) -> ResultOut:
    """The result as it is stored and served."""
    stamp = prediction.stamp
    return ResultOut(
        study_uid=study_uid,
        series_uid=prediction.series_uid,
        model=ModelOut(
            name=stamp.name,
            version=stamp.version,
            digest=stamp.digest,
            manufacturer=stamp.manufacturer,
            research_only=stamp.research_only,
        ),
        disclaimer=RESEARCH_ONLY if stamp.research_only else UNREVIEWED,
        priority_score=prediction.priority_score,
        priority_flag=prediction.urgency in (Urgency.CRITICAL, Urgency.URGENT),
        urgency=prediction.urgency.value,
        findings=tuple(_finding(finding) for finding in prediction.findings),
        measurements=tuple(
            MeasurementOut(concept=_code(m.concept), value=round(m.value, 3), unit=_code(m.unit))
            for m in prediction.measurements
        ),
        boxes=tuple(
            BoxOut(
                concept=_code(box.concept),
                instance_uid=box.instance_uid,
                rows=(box.row_start, box.row_stop),
                columns=(box.column_start, box.column_stop),
            )
            for box in prediction.boxes
        ),
        features=_features(prediction),
        notes=prediction.notes,
        note=worklist_note(prediction),
        input_digest=prediction.input_digest,
        sr_sop_instance_uid=sr_uid,
        routing=dict(routing),
    )


def worklist_note(prediction: Prediction) -> str:
    """One sentence that names what was found, by which version, and that nobody has reviewed it."""
    said = [_words(finding) for finding in prediction.findings]
    said += [f"{m.concept.meaning} {m.value:.0f} {m.unit.value}" for m in prediction.measurements]
    stamp = prediction.stamp
    warning = "research only, unreviewed" if stamp.research_only else "unreviewed"
    return f"AI ({stamp.name} {stamp.version}, {warning}): {'; '.join(said) or 'no finding'}."


def _words(finding: Finding) -> str:
    verb = {
        Presence.PRESENT: "suspected",
        Presence.ABSENT: "not suspected",
        Presence.INDETERMINATE: "indeterminate",
    }[finding.presence]
    return f"{finding.concept.meaning} {verb} ({finding.probability:.0%})"


def _finding(finding: Finding) -> FindingOut:
    return FindingOut(
        concept=_code(finding.concept),
        presence=finding.presence.value,
        probability=round(finding.probability, 6),
        threshold=finding.threshold,
        urgency=finding.urgency.value,
        key_instance_uid=finding.key_instance_uid,
    )


def _code(code: Code) -> CodeOut:
    return CodeOut(value=code.value, scheme=code.scheme, meaning=code.meaning)


def _features(prediction: Prediction) -> tuple[float, ...] | None:
    if prediction.features is None:
        return None
    return tuple(round(float(value), 6) for value in prediction.features.ravel())
