"""Spans as OTLP has them on the wire: a protobuf message `ExportTraceServiceRequest` (opentelemetry-proto 1.x).

Written field by field, so that the bytes of attributes that come again and again are made once; the tests read it
back by protobuf's own classes. A tracer would give ids of its own, and what it has queued dies with its process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from observability.names import SERVICE, STUDY_SPAN
from observability.traces.spans import Span, SpanRef, Value

INTERNAL: Final = 1
SERVER: Final = 2
SAMPLED: Final = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def request_of(spans: Iterable[Span]) -> bytes:
    """One request for all of them."""
    scope = _field(1, _text(1, SERVICE))
    scoped = scope + b"".join([_field(2, _span(one)) for one in spans])
    resource = _field(1, _attribute("service.name", SERVICE))
    return _field(1, _field(1, resource) + _field(2, scoped))


def _span(span: Span) -> bytes:
    parts = [
        _field(1, span.ref.trace_id),
        _field(2, span.ref.span_id),
        _field(4, span.parent_id) if span.parent_id else b"",
        _named(span.name),
        _TIMES.pack(0x39, span.start_ns, 0x41, span.end_ns),  # the keys of fields 7 and 8, fixed64
        *[_told(name, value, type(value).__name__) for name, value in span.attributes.items()],
        *[_field(13, _link(one)) for one in span.links],
        _status(span.error),
        _FLAGS,
    ]
    return b"".join(parts)


_TIMES: Final = struct.Struct("<BQBQ")


@lru_cache(maxsize=64)
def _named(name: str) -> bytes:
    """Name and kind."""
    kind = SERVER if name == STUDY_SPAN else INTERNAL
    return _text(5, name) + _key(6, _VARINT) + _varint(kind)


@lru_cache(maxsize=4096)
def _told(name: str, value: Value, kind: str) -> bytes:
    """An attribute of a span. `kind` tells 1 from True and 1.0, which are equal as keys."""
    return _field(9, _attribute(name, value))


def _attribute(name: str, value: Value) -> bytes:
    return _text(1, name) + _field(2, _value(value))


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return _key(2, _VARINT) + _varint(value)
    if isinstance(value, int):
        return _key(3, _VARINT) + _varint(value & (2**64 - 1))
    if isinstance(value, float):
        return _key(4, _FIXED64) + struct.pack("<d", value)
    return _text(1, value or "")


def _link(ref: SpanRef) -> bytes:
    return _field(1, ref.trace_id) + _field(2, ref.span_id)


@lru_cache(maxsize=256)
def _status(error: str | None) -> bytes:
    if error is None:
        return _field(15, _key(3, _VARINT) + _varint(1))
    return _field(15, _text(2, error) + _key(3, _VARINT) + _varint(2))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode("utf-8", "replace"))


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


@lru_cache(maxsize=64)
def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    if number < 128:
        return _SMALL[number]
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_SMALL: Final = [bytes((number,)) for number in range(128)]
_FLAGS: Final = _key(16, _FIXED32) + struct.pack("<I", SAMPLED)
