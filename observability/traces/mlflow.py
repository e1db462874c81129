"""What MLflow's list of traces shows of a study: name, request, response and tags. No patient datum is among it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from observability.names import Attribute, Stage
from observability.record import InferenceRecord, Outcome, StudyTrace
from observability.traces.spans import KeptTrace, Span, Value, clean_text

TAG: Final = "mlflow.traceTag."
NAME: Final = f"{TAG}mlflow.traceName"
INPUTS: Final = "mlflow.spanInputs"
OUTPUTS: Final = "mlflow.spanOutputs"
KIND: Final = "mlflow.spanType"
MOST_FINDINGS: Final = 8
TAGGED: Final = (
    Attribute.MODEL,
    Attribute.VERSION,
    Attribute.VARIANT,
    Attribute.OUTCOME,
    Attribute.ERROR_CODE,
)
"""Each tag costs MLflow as much as a span."""


def shown(kept: KeptTrace, root: Span) -> Span:
    """The root as MLflow's list shows it best."""
    trace = kept.trace
    tags = {f"{TAG}{_short(one)}": str(root.attributes[one]) for one in TAGGED if one in root.attributes}
    stage = stage_of_failure(trace)
    if stage is not None:
        tags[f"{TAG}stage"] = stage.value
    told: dict[str, Value] = {
        NAME: name_of(trace),
        KIND: "CHAIN",
        INPUTS: _json(request_of(trace)),
        OUTPUTS: _json(response_of(trace)),
        **tags,
    }
    return replace(root, attributes={**root.attributes, **told})


def shown_batch(batch: Span) -> Span:
    """A forward pass of several studies in the list."""
    of = (batch.attributes[one] for one in (Attribute.BATCH_SIZE, Attribute.MODEL, Attribute.VERSION))
    name = clean_text("batch of {}: {} v{}".format(*of))
    return replace(batch, attributes={**batch.attributes, NAME: name, KIND: "CHAIN"})


def name_of(trace: StudyTrace) -> str:
    """`ich-triage v2 canary`, whichever version the trace is about; `not read` when it came to none."""
    subject = trace.subject
    if subject is None:
        return "not read"
    role = "" if trace.is_live or subject.variant.startswith(subject.role) else f" {subject.role}"
    return clean_text(f"{subject.model} v{subject.version} {subject.variant}{role}")


def request_of(trace: StudyTrace) -> Mapping[str, object]:
    """Who was asked and what was read, in terms that fit thousands of patients."""
    subject = trace.subject
    if subject is None:
        return {"model": "none"}
    version = {"model": subject.model, "version": subject.version, "variant": subject.variant}
    facts = subject.facts
    if facts is None:
        return _scrubbed(version)
    told = {"modality": facts.modality, "body_part": facts.body_part, "scanner": facts.scanner}
    return {**_scrubbed({**version, **told}), "slices": facts.slices, "slice_mm": facts.slice_thickness_mm}


def response_of(trace: StudyTrace) -> Mapping[str, object]:
    """How it ended; the most probable finding and its score, or the stage and the code of the failure."""
    told: dict[str, object] = {"outcome": trace.outcome.value}
    if trace.outcome is not Outcome.OK:
        stage = stage_of_failure(trace)
        return {**told, "stage": stage.value if stage else "read", "code": clean_text(trace.error_code or "")}
    answer = trace.answer
    findings = findings_of(answer) if answer else ()
    if findings:
        told |= {"finding": findings[0][0], "score": findings[0][1]}
    if len(findings) > 1:
        told["others"] = dict(findings[1:])
    if answer and answer.priority_score is not None:
        told["priority_score"] = answer.priority_score
    if answer and answer.input_check:
        told["input_check"] = answer.input_check
    return told


def findings_of(record: InferenceRecord) -> tuple[tuple[str, float], ...]:
    """Name (else code) and score, the most probable first."""
    names = record.finding_names or tuple(code for code, _ in record.scores)
    told = [
        (clean_text(name), round(score, 4)) for name, (_, score) in zip(names, record.scores, strict=False)
    ]
    return tuple(sorted(told, key=lambda one: -one[1])[:MOST_FINDINGS])


def stage_of_failure(trace: StudyTrace) -> Stage | None:
    """The last stage that failed; None for a study that did not."""
    if trace.outcome is Outcome.OK:
        return None
    failed = [timing.stage for timing in trace.stages if timing.error_code]
    return failed[-1] if failed else trace.failed_at


def _scrubbed(texts: Mapping[str, str]) -> dict[str, object]:
    return {name: clean_text(text) for name, text in texts.items()}


def _short(name: Attribute) -> str:
    return {Attribute.ERROR_CODE: "code"}.get(name, name.name.lower())


def _json(told: Mapping[str, object]) -> str:
    return json.dumps(
        {name: value for name, value in told.items() if value not in (None, "")}, ensure_ascii=False
    )
