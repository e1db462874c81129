"""Readings are counted once by day and place, whatever the version was asked for as they came."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ledger import Ledger, NewReference
from ledger.drift_readings import SIGNALS, SLICE_S
from observability.drift.counters import slice_of
from observability.record import StudyTrace
from tests.unit.ledger.conftest import NOON, set_time
from tests.unit.observability.metrics.test_exposition import LIVE, READ, SHADOW

DAY = slice_of(int(NOON.timestamp()), SLICE_S)
MODEL = READ.model


def told(ledger: Ledger, *traces: StudyTrace, days: int = 0) -> None:
    set_time(ledger, NOON + timedelta(days=days))
    for trace in traces:
        ledger.study_records.add(trace)
    set_time(ledger, NOON + timedelta(days=days, minutes=1))
    while ledger.drift.fold():
        pass


def number(ledger: Ledger, version: str = READ.version, first: int = DAY, last: int = DAY) -> int:
    """How many readings of the version were counted on these days."""
    cells = ledger.drift.tally(MODEL, version, first, last).cells
    by_signal = {signal.name: 0 for signal in SIGNALS}
    for cell, count in cells.items():
        by_signal[cell.signal] += count
    (found,) = set(by_signal.values())
    return found


def test_each_reading_counts_once_in_every_signal(ledger: Ledger) -> None:
    told(ledger, LIVE, LIVE, SHADOW)
    assert number(ledger) == 3, "two answers and a shadow of version 2"
    assert number(ledger, "3") == 2, "who failed was asked, too"
    told(ledger)
    assert number(ledger) == 3


def test_what_is_read_of_the_past_is_no_case_mix(ledger: Ledger) -> None:
    replayed = replace(SHADOW, records=(replace(SHADOW.records[0], role="replay"),))
    told(ledger, replayed)
    assert number(ledger) == 0


def test_days_are_apart(ledger: Ledger) -> None:
    told(ledger, LIVE)
    told(ledger, LIVE, LIVE, days=1)
    assert (number(ledger), number(ledger, first=DAY + 1, last=DAY + 1)) == (1, 2)
    assert number(ledger, last=DAY + 1) == 3


def test_a_person_accepts_days_as_normal_and_it_stands_in_the_audit(ledger: Ledger) -> None:
    told(ledger, LIVE, LIVE)
    new = NewReference(MODEL, READ.version, DAY, DAY, DAY + 1)
    first = ledger.drift_references.accept(new, actor="admin/ada")
    assert first is not None
    assert (first.version, first.accepted_by, first.watched_from) == (1, "admin/ada", DAY + 1)
    kept = ledger.drift_references.newest(MODEL, READ.version)
    assert kept is not None
    assert kept.digest == first.digest
    told(ledger, LIVE, days=1)
    second = ledger.drift_references.accept(
        replace(new, last=DAY + 1, watched_from=DAY + 2), actor="admin/ada"
    )
    assert second is not None
    assert second.version == 2
    assert [row.detail["reference"] for row in ledger.audit.rows(subject=MODEL)] == [2, 1]


def test_what_nobody_read_cannot_be_normal(ledger: Ledger) -> None:
    assert (
        ledger.drift_references.accept(NewReference(MODEL, "9", DAY, DAY, DAY + 1), actor="admin/ada") is None
    )
    assert ledger.drift_references.newest(MODEL, "9") is None
