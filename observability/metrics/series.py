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


def added(series: Series | None, *seen: Observation) -> Series:
    """The series with these observations more, which are all of its instrument."""
    instrument = seen[0].instrument
    before = series or Series()
    total = before.total + sum(one.value for one in seen)
    if instrument.kind is not Kind.HISTOGRAM:
        return replace(before, total=total)
    buckets = len(instrument.buckets) + 1
    counts = [*(before.counts or (0,) * buckets)]
    exemplars = [*(before.exemplars or (None,) * buckets)]
    for one in seen:
        place = bisect_left(instrument.buckets, one.value)
        counts[place] += 1
        if one.exemplar is not None:
            exemplars[place] = one.exemplar
    return replace(before, total=total, counts=tuple(counts), exemplars=tuple(exemplars))


OTHER = "other"
"""The labels of everything that came when a metric had as many series as it may have."""


def folded(known: Mapping[Key, Series], seen: Iterable[Observation], most_lines: int) -> dict[Key, Series]:
    """The series that observations change or begin, as they are afterwards.

    All series together take at most `most_lines` lines of an exposition, and those of an instrument at most its own
    `most`, but for those of `other`, one of each instrument, which take what comes later.
    """
    new: dict[Key, list[Observation]] = {}
    lines = sum(_lines(key, series) for key, series in known.items())
    number = Counter(name for name, labels in known if not _is_other(labels))
    for one in seen:
        key, instrument = one.key, one.instrument
        if key not in known and key not in new:
            is_full = instrument.most and number[instrument.name] >= instrument.most
            if is_full or lines + instrument.lines > most_lines:
                key = instrument.name, (OTHER,) * len(one.labels)
            else:
                lines += instrument.lines
                number[instrument.name] += 1
        new.setdefault(key, []).append(one)
    return {key: added(known.get(key), *observations) for key, observations in new.items()}


def _lines(key: Key, series: Series) -> int:
    if _is_other(key[1]):
        return 0
    return len(series.counts) + 2 if series.counts else 1


def _is_other(labels: Labels) -> bool:
    return bool(labels) and set(labels) == {OTHER}
