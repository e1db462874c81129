"""What one study's trace adds to the metrics. Of a study only its modality becomes a label, never its pseudonym."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from observability.metrics import instruments as of
from observability.metrics.series import OTHER, Exemplar, Observation
from observability.names import Stage
from observability.record import UNKNOWN, InferenceRecord, InputFacts, Outcome, StudyTrace

BODY_PART: Final = re.compile(r"[A-Z0-9_ -]{1,16}")  # a code string (PS3.5 6.2)
SCANNER: Final = re.compile(r"[\w .,()/+-]{1,64}")


def observations_of(trace: StudyTrace, trace_id: str | None = None) -> Iterator[Observation]:
    """`trace_id` names the exported trace of the study, if it was kept."""
    delivered = next((one for one in trace.records if one.delivered), None)
    first = delivered or (trace.records[0] if trace.records else None)
    modality = trace.modality
    if trace.is_live:
        if delivered is not None and delivered.facts is not None:
            yield from _of_case(delivered.facts)
        yield from _of_study(trace, first.model if first else UNKNOWN, modality, trace_id)
    answered = [one for one in trace.records if one.outcome is Outcome.OK]
    for timing in (*trace.stages, *(stage for one in answered for stage in one.stages)):
        seconds = timing.duration_ms / 1e3
        yield Observation(of.STAGE_SECONDS, (timing.stage.value, modality), seconds)
    for record in trace.records:
        yield from _of_record(record, trace, trace_id)
    received = sum(one.bytes_in for one in trace.records)
    if received:
        yield Observation(of.BYTES_IN, (modality,), received)


def _of_study(trace: StudyTrace, model: str, modality: str, trace_id: str | None) -> Iterator[Observation]:
    seconds = (trace.end_ns - trace.start_ns) / 1e9
    labels = (model, modality, trace.outcome.value, trace.error_code or "")
    yield Observation(of.STUDIES, labels, 1)
    yield Observation(of.STUDY_SECONDS, (model, modality), seconds, _exemplar(trace, trace_id, seconds))


def _of_case(facts: InputFacts) -> Iterator[Observation]:
    part = " ".join(facts.body_part.upper().split())
    yield Observation(of.CASES, (facts.modality, _as_label(part, BODY_PART)), 1)
    yield Observation(of.SCANNERS, (facts.modality, _as_label(facts.scanner.strip(), SCANNER)), 1)


def _as_label(text: str, form: re.Pattern[str]) -> str:
    """A text of a DICOM header, if it has the form that it should have."""
    if not text:
        return UNKNOWN
    return text if form.fullmatch(text) else OTHER


def _of_forward(record: InferenceRecord) -> Iterator[Observation]:
    """How long the network computed for this study alone, and how busy the GPU was then, if there is one."""
    version = (record.model, record.version)
    forward_ms = sum(timing.duration_ms for timing in record.stages if timing.stage is Stage.FORWARD)
    if not forward_ms:
        return
    device = record.device.partition(":")[0] or UNKNOWN
    yield Observation(of.BUSY, (*version, device), forward_ms / 1e3 / record.batch_size)
    yield Observation(of.FORWARD_STUDIES, version, record.batch_size)
    for instrument, share in ((of.GPU_BUSY, record.gpu_busy), (of.GPU_MEMORY, record.gpu_memory)):
        if share is not None:
            yield Observation(instrument, version, share)


def _of_record(record: InferenceRecord, trace: StudyTrace, trace_id: str | None) -> Iterator[Observation]:
    version = (record.model, record.version)
    yield Observation(of.INFERENCES, (*version, record.variant, record.role, record.outcome.value), 1)
    if record.stages and record.outcome is Outcome.OK:
        seconds = sum(timing.duration_ms for timing in record.stages) / 1e3
        exemplar = _exemplar(trace, trace_id, seconds)
        labels = (*version, record.variant, record.role)
        yield Observation(of.INFERENCE_SECONDS, labels, seconds, exemplar)
        yield from _of_forward(record)
    if record.input_check:
        yield Observation(of.INPUT_CHECKS, (*version, record.input_check), 1)
    if record.outcome is Outcome.OK:
        for code, probability in record.scores:
            if probability >= 0.5:
                yield Observation(of.POSITIVES, (*version, record.role, code), 1)


def _exemplar(trace: StudyTrace, trace_id: str | None, value: float) -> Exemplar | None:
    return None if trace_id is None else Exemplar(trace_id, value, trace.end_ns / 1e9)
