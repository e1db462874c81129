"""The value of one series: a total, or the counts of a histogram's buckets. Adding is the only thing done to it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from observability.metrics.instruments import Instrument, Kind

Labels: TypeAlias = tuple[str, ...]
Key: TypeAlias = tuple[str, Labels]
"""An instrument's name, and its labels' values in the instrument's order."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A kept trace that shows what the bucket holds; `at_s` in seconds since the Unix epoch."""

    trace_id: str
    value: float
    at_s: float


@dataclass(frozen=True, slots=True)
class Observation:
    """One study's contribution: 1 for a counted thing, seconds or bytes for a measured one."""

    instrument: Instrument
    labels: Labels
    value: float
    exemplar: Exemplar | None = None

    @property
    def key(self) -> Key:
        return self.instrument.name, self.labels


@dataclass(frozen=True, slots=True)
class Series:
    """`total` of what was observed. `counts` of a histogram: each bucket's own, the last one above all bounds.

    `since_s` is when it began, in seconds since the Unix epoch; 0 where that is not known.
    """

    total: float = 0.0
    counts: tuple[int, ...] = ()
    exemplars: tuple[Exemplar | None, ...] = ()
    since_s: float = 0.0

    @property
    def observed(self) -> int:
        return sum(self.counts)


def added(series: Series | None, seen: Observation) -> Series:
    """The series with one observation more."""
    if seen.instrument.kind is not Kind.HISTOGRAM:
        before = series or Series()
        return replace(before, total=before.total + seen.value)
    buckets = len(seen.instrument.buckets) + 1
    before = series or Series(0.0, (0,) * buckets, (None,) * buckets)
    place = bisect_left(seen.instrument.buckets, seen.value)
    counts = (*before.counts[:place], before.counts[place] + 1, *before.counts[place + 1 :])
    exemplars = before.exemplars
    if seen.exemplar is not None:
        exemplars = (*exemplars[:place], seen.exemplar, *exemplars[place + 1 :])
    return replace(before, total=before.total + seen.value, counts=counts, exemplars=exemplars)


OTHER = "other"
"""The labels of everything that came when a metric had as many series as it may have."""


def folded(known: Mapping[Key, Series], seen: Iterable[Observation], most_lines: int) -> dict[Key, Series]:
    """The series that observations change or begin, as they are afterwards.

    All series together take at most `most_lines` lines of an exposition, and those of an instrument at most its own
    `most`, but for those of `other`, one of each instrument, which take what comes later.
    """
    changed: dict[Key, Series] = {}
    lines = sum(_lines(key, series) for key, series in known.items())
    number = Counter(name for name, labels in known if not _is_other(labels))
    for one in seen:
        key, instrument = one.key, one.instrument
        if key not in known and key not in changed:
            is_full = instrument.most and number[instrument.name] >= instrument.most
            if is_full or lines + instrument.lines > most_lines:
                key = instrument.name, (OTHER,) * len(one.labels)
            else:
                lines += instrument.lines
                number[instrument.name] += 1
        changed[key] = added(changed.get(key, known.get(key)), one)
    return changed


def _lines(key: Key, series: Series) -> int:
    if _is_other(key[1]):
        return 0
    return len(series.counts) + 2 if series.counts else 1


def _is_other(labels: Labels) -> bool:
    return bool(labels) and set(labels) == {OTHER}
