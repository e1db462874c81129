"""What one study's trace adds to the metrics. Of a study only its modality becomes a label, never its pseudonym."""

from __future__ import annotations

from collections.abc import Iterator

from observability.metrics import instruments as of
from observability.metrics.series import Exemplar, Observation
from observability.record import UNKNOWN, InferenceRecord, Outcome, StudyTrace


def observations_of(trace: StudyTrace, trace_id: str | None = None) -> Iterator[Observation]:
    """`trace_id` names the exported trace of the study, if it was kept."""
    delivered = next((one for one in trace.records if one.delivered), None)
    first = delivered or (trace.records[0] if trace.records else None)
    modality = trace.modality
    if trace.is_live:
        yield from _of_study(trace, first.model if first else UNKNOWN, modality, trace_id)
    for timing in (*trace.stages, *(stage for one in trace.records for stage in one.stages)):
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


def _of_record(record: InferenceRecord, trace: StudyTrace, trace_id: str | None) -> Iterator[Observation]:
    version = (record.model, record.version)
    yield Observation(of.INFERENCES, (*version, record.variant, record.role, record.outcome.value), 1)
    if record.stages:
        seconds = sum(timing.duration_ms for timing in record.stages) / 1e3
        exemplar = _exemplar(trace, trace_id, seconds)
        yield Observation(of.INFERENCE_SECONDS, (*version, record.role), seconds, exemplar)
    if record.input_check:
        yield Observation(of.INPUT_CHECKS, (*version, record.input_check), 1)
    if record.outcome is Outcome.OK:
        for code, probability in record.scores:
            if probability >= 0.5:
                yield Observation(of.POSITIVES, (*version, record.role, code), 1)


def _exemplar(trace: StudyTrace, trace_id: str | None, value: float) -> Exemplar | None:
    return None if trace_id is None else Exemplar(trace_id, value, trace.end_ns / 1e9)
