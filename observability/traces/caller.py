"""The span of a caller, by its W3C `traceparent` (Trace Context, level 1). Tracestate and baggage are never read."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 55
_HEADER: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class CallerSpan:
    """Trace and span id as bytes; `is_sampled` when the caller keeps its own part of the trace."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool


def caller_of(traceparent: str | None) -> CallerSpan | None:
    """None for a header that is missing or not well formed."""
    match = _HEADER.fullmatch(traceparent.strip()) if traceparent else None
    if match is None:
        return None
    trace_id, span_id, flags = (bytes.fromhex(part) for part in match.groups())
    if not any(trace_id) or not any(span_id):
        return None
    return CallerSpan(trace_id, span_id, bool(flags[0] & 1))


def trusted_traceparent(header: str | None, caller: str, trusted: Collection[str]) -> str | None:
    """What is kept of the header: ids and flags, in the form of version 00, when the caller's name is trusted.

    >>> trusted_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "ris", ("ris",))
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    """
    span = caller_of(header) if caller in trusted else None
    if span is None:
        return None
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{int(span.is_sampled):02x}"
