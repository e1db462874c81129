"""What readings add to the counts of drift, to the words of a site and to what is kept for the truth. Pure.

A place or a word is kept as long as there are few of a version and day: a header may hold anything, and what comes
above the bound is counted as `other`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from ledger.study_records import StoredRecord
from observability.drift.catalogue import (
    ACQUISITION,
    EXPOSURE,
    OUTCOME,
    PIXELS,
    POPULATION,
    SCORES,
    WORDS,
    place_of,
    values_of,
)
from observability.drift.counters import Node, slice_of
from observability.drift.outlier import OUTLIER, OutlierRule
from observability.drift.signals import OTHER, Value
from observability.record import InferenceRecord, Outcome

SLICE_S: Final = 86_400
SIGNALS: Final = (*ACQUISITION, *EXPOSURE, *POPULATION, *PIXELS, *SCORES, *OUTCOME)
"""What has bins before anybody accepts a reference."""
ROLES: Final = frozenset({"answered", "failed", "shadow"})
"""Of what comes to a site as it comes; replays and ground-truth sets are no case mix."""
MOST_LEAVES: Final = 64  # of a version and day
MOST_WORDS: Final = 32  # of a signal, leaf and day
LONGEST_LEAF: Final = 120
POSITIVE: Final = 0.5  # where a record does not say what its version called present

Version: TypeAlias = tuple[str, str]
Day: TypeAlias = tuple[str, str, int]  # model, version, slice


@dataclass(frozen=True, slots=True)
class CountedReading:
    """What one reading is counted by."""

    record: InferenceRecord
    day: Day
    leaf: Node
    values: Mapping[str, Value]
    at: datetime


@dataclass(frozen=True, slots=True)
class KnownWords:
    """What was counted before: leaves by day, and words by day, leaf and signal."""

    leaves: dict[Day, set[str]] = field(default_factory=dict)
    words: dict[tuple[Any, ...], set[str]] = field(default_factory=dict)

    def note(self, day: Day, leaf: str, signal: str, word: str) -> None:
        self.leaves.setdefault(day, set()).add(leaf)
        self.words.setdefault((day, leaf, signal), set()).add(word)


@dataclass(frozen=True, slots=True)
class Added:
    """Counts by (model, version, slice, leaf, signal, bin), and by the same with a word in the place of the bin."""

    cells: Counter[tuple[Any, ...]]
    words: Counter[tuple[Any, ...]]


def readings_of(records: Iterable[StoredRecord]) -> Iterator[CountedReading]:
    """The readings that are counted."""
    for stored in records:
        day = slice_of(int(stored.at.timestamp()), SLICE_S)
        for record in stored.trace.records:
            if record.role in ROLES:
                leaf = tuple(part[:LONGEST_LEAF] for part in place_of(record))
                yield CountedReading(
                    record, (record.model, record.version, day), leaf, values_of(record), stored.at
                )


def added_by(
    readings: Iterable[CountedReading], known: KnownWords, rules: Mapping[Version, OutlierRule]
) -> Added:
    """`known` learns what comes."""
    cells: Counter[tuple[Any, ...]] = Counter()
    words: Counter[tuple[Any, ...]] = Counter()
    for one in readings:
        leaf = _kept_leaf(one, known)
        for signal in SIGNALS:
            cells[*one.day, leaf, signal.name, signal.bin_of(one.values.get(signal.name))] += 1
        rule = rules.get(one.day[:2])
        if rule is not None:
            flag = "yes" if rule.is_outlier(one.values) else "no"
            cells[*one.day, leaf, OUTLIER.name, OUTLIER.bin_of(flag)] += 1
        for name in WORDS:
            word = _kept_word(one, known, leaf, name)
            known.note(one.day, leaf, name, word)
            words[*one.day, leaf, name, word] += 1
    return Added(cells, words)


def answers_of(readings: Iterable[CountedReading]) -> Iterator[dict[str, Any]]:
    """A row for each finding that a reading told."""
    for one in readings:
        record = one.record
        if record.outcome is not Outcome.OK:
            continue
        for code, score in record.scores:
            says = score >= POSITIVE if record.present is None else code in record.present
            yield {
                "model": record.model,
                "version": record.version,
                "finding": code[:64],
                "study_key": record.study_key,
                "at": one.at,
                "score": score,
                "says_positive": says,
            }


def leaf_text(leaf: Node) -> str:
    return json.dumps(leaf, ensure_ascii=False)


def _kept_leaf(one: CountedReading, known: KnownWords) -> str:
    text, leaves = leaf_text(one.leaf), known.leaves.get(one.day, set())
    if text in leaves or len(leaves) < MOST_LEAVES:
        return text
    return leaf_text((one.leaf[0], OTHER, OTHER))


def _kept_word(one: CountedReading, known: KnownWords, leaf: str, name: str) -> str:
    word, words = str(one.values.get(name) or ""), known.words.get((one.day, leaf, name), set())
    return word if word in words or len(words) < MOST_WORDS else OTHER
