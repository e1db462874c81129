"""Spans as the OpenTelemetry protocol has them (OTLP 1.x, `opentelemetry/proto/trace/v1/trace.proto`).

Written as protobuf at once: a tracer would give ids of its own, and what it has queued dies with its process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as wire

from observability.names import SERVICE, STUDY_SPAN
from observability.traces.spans import Span, Value

_RESOURCE: Final = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=SERVICE))])
_SCOPE: Final = InstrumentationScope(name=SERVICE)
_OK: Final = wire.Status(code=wire.Status.STATUS_CODE_OK)
SAMPLED: Final = 1


def request_of(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """One request for all of them."""
    scoped = wire.ScopeSpans(scope=_SCOPE, spans=[_span(one) for one in spans])
    return ExportTraceServiceRequest(
        resource_spans=[wire.ResourceSpans(resource=_RESOURCE, scope_spans=[scoped])]
    )


def _span(span: Span) -> wire.Span:
    kind = wire.Span.SPAN_KIND_SERVER if span.name == STUDY_SPAN else wire.Span.SPAN_KIND_INTERNAL
    return wire.Span(
        trace_id=span.ref.trace_id,
        span_id=span.ref.span_id,
        parent_span_id=span.parent_id or b"",
        name=span.name,
        kind=kind,
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=[KeyValue(key=name, value=_value(value)) for name, value in span.attributes.items()],
        status=_status(span),
        links=[wire.Span.Link(trace_id=one.trace_id, span_id=one.span_id) for one in span.links],
        flags=SAMPLED,
    )


def _status(span: Span) -> wire.Status:
    return _OK if span.error is None else wire.Status(code=wire.Status.STATUS_CODE_ERROR, message=span.error)


def _value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value or "")
