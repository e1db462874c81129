"""From a Prediction to what the ledger keeps and a caller reads: the result, and a sentence for a worklist. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.codec import to_plain
from imaging.finding import NOT_CHECKED, Code, Finding, InputCheck, Prediction, Presence, Urgency

RESULT_FORMAT: Final = 1  # raised with every change that a reader of stored results has to know of
RESEARCH_ONLY = "For research only: no regulator has cleared this version. Not reviewed by a radiologist."
FOREIGN = "the study is unlike those the version was made for"
UNREVIEWED = "Preliminary result of software. Not reviewed by a radiologist."


@dataclass(frozen=True, slots=True)
class ReadingModel:
    """The version that read the study."""

    name: str
    version: str
    digest: str
    manufacturer: str
    research_only: bool


@dataclass(frozen=True, slots=True)
class ReportedFinding:
    concept: Code
    presence: str
    probability: float
    threshold: float
    urgency: str
    key_instance_uid: str | None = field(default=None, repr=False)
    key_frame: int | None = None


@dataclass(frozen=True, slots=True)
class ReportedMeasurement:
    concept: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True)
class ReportedBox:
    """A box around a finding, by rows and columns of the image `instance_uid`, the end not included.

    `frame` is the number of the image in a multi-frame object, from 1.
    """

    concept: Code
    instance_uid: str = field(repr=False)
    rows: tuple[int, int]
    columns: tuple[int, int]
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class StudyResult:
    """One study's result, stamped with the version that really produced it. `note` is one sentence for a worklist.

    `documents` are the kinds of DICOM objects that were made with it. `same_as` is the job that read the study, where
    it was an earlier one than that which has this result.
    """

    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    model: ReadingModel
    disclaimer: str
    priority_score: int | None
    priority_flag: bool
    urgency: str
    findings: tuple[ReportedFinding, ...]
    measurements: tuple[ReportedMeasurement, ...]
    boxes: tuple[ReportedBox, ...]
    features: tuple[float, ...] | None
    notes: tuple[str, ...]
    note: str
    input_digest: str
    sr_sop_instance_uid: str | None = field(repr=False)
    routing: Mapping[str, Any]
    input_check: InputCheck = NOT_CHECKED
    status: str = "preliminary"
    same_as: str | None = None
    documents: tuple[str, ...] = ()
    format: int = RESULT_FORMAT

    def to_json(self) -> dict[str, Any]:
        """The result as the ledger keeps it."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def to_result(
    prediction: Prediction,
    study_uid: str,
    *,
    sr_uid: str | None,
    routing: Mapping[str, Any],
    documents: Iterable[str] = (),
) -> StudyResult:
    stamp = prediction.stamp
    return StudyResult(
        study_uid=study_uid,
        series_uid=prediction.series_uid,
        model=ReadingModel(
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
            ReportedMeasurement(m.concept, round(m.value, 3), m.unit) for m in prediction.measurements
        ),
        boxes=tuple(
            ReportedBox(
                box.concept,
                box.instance_uid,
                (box.row_start, box.row_stop),
                (box.column_start, box.column_stop),
                box.frame,
            )
            for box in prediction.boxes
        ),
        features=_features(prediction),
        notes=tuple(prediction.notes),
        note=worklist_note(prediction),
        input_digest=prediction.input_digest,
        sr_sop_instance_uid=sr_uid,
        routing=dict(routing),
        input_check=prediction.input_check,
        documents=tuple(documents),
    )


def worklist_note(prediction: Prediction) -> str:
    """One sentence that names what was found, by which version, and that nobody has reviewed it."""
    is_foreign = prediction.input_check.is_foreign
    said = [FOREIGN] if is_foreign else []
    said += [_words(finding, is_foreign) for finding in prediction.findings]
    said += [f"{m.concept.meaning} {m.value:.0f} {m.unit.value}" for m in prediction.measurements]
    stamp = prediction.stamp
    warning = "research only, unreviewed" if stamp.research_only else "unreviewed"
    return f"AI ({stamp.name} {stamp.version}, {warning}): {'; '.join(said) or 'no finding'}."


def _words(finding: Finding, is_foreign: bool) -> str:
    """How sure a version is of an input that it does not know says nothing."""
    verb = {
        Presence.PRESENT: "suspected",
        Presence.ABSENT: "not suspected",
        Presence.INDETERMINATE: "indeterminate",
    }[finding.presence]
    return f"{finding.concept.meaning} {verb}" + ("" if is_foreign else f" ({finding.probability:.0%})")


def _finding(finding: Finding) -> ReportedFinding:
    return ReportedFinding(
        concept=finding.concept,
        presence=finding.presence.value,
        probability=round(finding.probability, 6),
        threshold=finding.threshold,
        urgency=finding.urgency.value,
        key_instance_uid=finding.key_instance_uid,
        key_frame=finding.key_frame,
    )


def _features(prediction: Prediction) -> tuple[float, ...] | None:
    if prediction.features is None:
        return None
    return tuple(round(float(value), 6) for value in prediction.features.ravel())
