"""Turns a finished study into one trace. It never raises: a study does not fail because its trace does."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from observability.names import STUDY_SPAN, Attribute, stage_span
from observability.record import InferenceRecord, Outcome, StageTiming, StudyTrace, is_sampled
from observability.redaction import scrub
from observability.telemetry import Telemetry

logger = logging.getLogger(__name__)

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

_VARIANT: Final = (
    Attribute.MODEL,
    Attribute.VERSION,
    Attribute.VARIANT,
    Attribute.DELIVERED,
    Attribute.ERROR_CODE,
)
Value = str | int | float | bool | None


class Recorder:
    """Exports study traces through `telemetry`; with None it does nothing."""

    def __init__(self, telemetry: Telemetry | None) -> None:
        self._telemetry = telemetry

    def record(self, trace: StudyTrace) -> str | None:
        """Queue one trace for export and return its id (32 hex digits), or None if none was made."""
        if self._telemetry is None or not is_sampled(trace, self._telemetry.sampling_ratio):
            return None
        try:
            with self._telemetry.naming(trace.trace_id) as tracer:
                return _emit(tracer, trace)
        except (ValueError, TypeError, RuntimeError, OSError):
            logger.warning("trace.lost", extra={"study_key": trace.study_key})
            return None

    def flush(self, timeout_s: float = 5.0) -> bool:
        return self._telemetry is None or self._telemetry.flush(timeout_s)

    async def aclose(self, timeout_s: float = 5.0) -> None:
        """Export what is left and stop, without blocking the event loop."""
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.close, timeout_s)


def _emit(tracer: Tracer, trace: StudyTrace) -> str:
    # An empty context: whatever span is current in this thread is not ours to hang under. The caller's span
    # is linked, not made the parent: MLflow keeps a trace IN_PROGRESS until its root arrives, here never.
    root = tracer.start_span(
        STUDY_SPAN,
        context=Context(),
        links=_links(trace.traceparent),
        start_time=trace.start_ns,
        attributes=_clean(_study_attributes(trace)),
    )
    inside = set_span_in_context(root, Context())
    for timing in trace.stages:
        _emit_stage(tracer, inside, timing, {})
    for record in trace.records:
        attributes = _record_attributes(record)
        if record is _delivered(trace):  # the root has said the rest of it
            attributes = {name: attributes[name] for name in _VARIANT}
        for timing in record.stages:
            _emit_stage(tracer, inside, timing, attributes)
    _mark(root, trace.error_code, failed=trace.outcome is not Outcome.OK)
    root.end(trace.end_ns)
    return f"{root.get_span_context().trace_id:032x}"


def _emit_stage(
    tracer: Tracer, inside: Context, timing: StageTiming, attributes: Mapping[Attribute, Value]
) -> None:
    span = tracer.start_span(
        stage_span(timing.stage),
        context=inside,
        start_time=timing.start_ns,
        attributes=_clean(
            {
                **attributes,
                Attribute.STAGE: timing.stage.value,
                Attribute.ERROR_CODE: timing.error_code or attributes.get(Attribute.ERROR_CODE),
            }
        ),
    )
    _mark(span, timing.error_code, failed=timing.error_code is not None)
    span.end(timing.end_ns)


def _mark(span: Span, error_code: str | None, *, failed: bool) -> None:
    if failed:
        span.set_status(Status(StatusCode.ERROR, scrub(error_code or "failed")))
    else:
        span.set_status(StatusCode.OK)


def _delivered(trace: StudyTrace) -> InferenceRecord | None:
    return next((record for record in trace.records if record.delivered), None)


def _study_attributes(trace: StudyTrace) -> dict[Attribute, Value]:
    delivered = _delivered(trace)
    own: dict[Attribute, Value] = {
        Attribute.STUDY_KEY: trace.study_key,
        Attribute.JOB_ID: trace.job_id,
        Attribute.SITE: trace.site,
        Attribute.OUTCOME: trace.outcome.value,
        Attribute.ERROR_CODE: trace.error_code,
    }
    return {**(_record_attributes(delivered) if delivered else {}), **own}


def _record_attributes(record: InferenceRecord) -> dict[Attribute, Value]:
    return {
        Attribute.MODEL: record.model,
        Attribute.VERSION: record.version,
        Attribute.DIGEST: record.digest,
        Attribute.VARIANT: record.variant,
        Attribute.OUTCOME: record.outcome.value,
        Attribute.ERROR_CODE: record.error_code,
        Attribute.DELIVERED: record.delivered,
        Attribute.DEVICE: record.device,
        Attribute.ATTEMPT: record.attempt,
        Attribute.BYTES_IN: record.bytes_in,
        Attribute.MODALITY: record.facts.modality if record.facts else None,
        Attribute.SLICES: record.facts.slices if record.facts else None,
        Attribute.INPUT_CHECK: record.input_check,
        Attribute.INPUT_DISTANCE: record.input_distance,
    }


def _clean(attributes: Mapping[Attribute, Value]) -> dict[str, str | int | float | bool]:
    """Without the empty ones, and with every text scrubbed: no caller can slip a UID into a span."""
    present = {name.value: value for name, value in attributes.items() if value is not None and value != ""}
    return {name: scrub(value) if isinstance(value, str) else value for name, value in present.items()}


def _links(traceparent: str | None) -> list[Link]:
    """The caller's span (W3C Trace Context, level 1); nothing for a header that is not well formed."""
    match = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    if match is None:
        return []
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    caller = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return [Link(caller)] if caller.is_valid else []
