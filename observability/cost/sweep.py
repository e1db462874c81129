"""Who had which share of a resource's paid time, where several worked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from observability.cost.spans import Span, joined, without

FINE: Final = 1 << 64  # a nanosecond that n share is this many parts, so that thirds stay thirds


class Work(NamedTuple):
    """Somebody works from `start` to `end`, with a weight above 0 beside others."""

    start: int
    end: int
    weight: int


@dataclass(frozen=True, slots=True)
class Swept:
    """`shares` by work, in parts of a nanosecond; the times in which somebody worked; those in which nobody did."""

    shares: tuple[int, ...]
    busy: tuple[Span, ...]
    free: tuple[Span, ...]


def sweep(windows: Sequence[Span], works: Sequence[Work]) -> Swept:
    """Share the windows (in order, not overlapping) among the works: at each moment by weight.

    One pass over all starts and ends keeps the *virtual time*, which runs by 1/(sum of the weights at work); a work's
    share is its weight times the virtual time that it lasted (generalised processor sharing; Parekh and Gallager,
    IEEE/ACM Trans. Networking 1(3), 1993). So it costs O(n log n) however many overlap, and equal works get equal
    shares, in whatever order they come.
    """
    busy = _busy(windows, works)
    times = _virtual_times(busy, works)
    shares = tuple(work.weight * (times[work.end] - times[work.start]) for work in works)
    return Swept(shares, tuple(busy), tuple(without(windows, busy)))


def _busy(windows: Sequence[Span], works: Sequence[Work]) -> list[Span]:
    """The times of the windows in which somebody works."""
    idle = without(windows, joined([Span(work.start, work.end) for work in works]))
    return without(windows, idle)


def _virtual_times(busy: Sequence[Span], works: Sequence[Work]) -> dict[int, int]:
    """The virtual time at every start and end of a work; it stands still outside the busy times."""
    change: dict[int, int] = {}
    for start, end, weight in works:
        change[start] = change.get(start, 0) + weight
        change[end] = change.get(end, 0) - weight
    for start, end in busy:
        change.setdefault(start, 0)
        change.setdefault(end, 0)
    begins, ends = {span.start for span in busy}, {span.end for span in busy}
    times: dict[int, int] = {}
    at, time, weights, is_busy = 0, 0, 0, False
    for moment in sorted(change):
        if is_busy:
            time += (moment - at) * FINE // weights
        times[moment] = time
        at, weights = moment, weights + change[moment]
        is_busy = moment in begins or (is_busy and moment not in ends)
    return times
