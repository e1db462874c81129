"""Spans of time in whole nanoseconds since the Unix epoch, half-open, and lists of them that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """From `start` up to, not including, `end`."""

    start: int
    end: int

    def within(self, other: Span) -> Span | None:
        """The part of it that lies in another one."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Span(start, end) if start < end else None


def joined(spans: Sequence[Span]) -> list[Span]:
    """The same times in order, with what overlaps or touches made one."""
    found: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What is left of `spans` when `taken` is cut out. Both are in order without overlap, as of `joined`."""
    left: list[Span] = []
    first = 0
    for start, end in spans:
        while first < len(taken) and taken[first].end <= start:
            first += 1
        at, next_one = start, first
        while next_one < len(taken) and taken[next_one].start < end:
            if taken[next_one].start > at:
                left.append(Span(at, taken[next_one].start))
            at = max(at, taken[next_one].end)
            next_one += 1
        if at < end:
            left.append(Span(at, end))
    return left
