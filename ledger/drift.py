"""Drift as integer counts: a view of the records, and the references that people accepted.

Readings of a version are counted by the day (UTC) at which their record was written, by site, scanner and protocol.
A version that reads in silence is counted, too, so that it has a reference when it is promoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json
from ledger.database import Database
from ledger.drift_readings import (
    SIGNALS,
    CountedReading,
    KnownWords,
    Version,
    added_by,
    answers_of,
    readings_of,
)
from ledger.drift_tally import tally_of
from ledger.study_records import StudyRecords
from ledger.tables import drift_answers, drift_counts, drift_references, drift_words
from observability.drift.counters import Tally
from observability.drift.outlier import OutlierRule
from observability.drift.signals import SignalSpec

FOLD: Final = "drift"
BATCH_SIZE: Final = 100

_PLACE: Final = ("model", "version", "slice", "leaf", "signal")
_CELL: Final = (*_PLACE, "bin")
_WORD: Final = (*_PLACE, "word")
_ANSWER: Final = ("model", "version", "finding", "study_key")


class DriftCounts:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database, records: StudyRecords) -> None:
        self._db = database
        self._records = records

    def fold(self) -> bool:
        """Count the next records that are not in it yet; whether there were any."""
        if not self._records.are_new(FOLD):
            return False
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            readings = list(readings_of(records))
            if readings:
                self._add(connection, readings)
        return bool(records)

    def tally(
        self, model: str, version: str, first: int, last: int, signals: Sequence[SignalSpec] = SIGNALS
    ) -> Tally:
        """The counts of a version on the days from `first` to `last`, in the bins of `signals`."""
        with self._db.read() as connection:
            return tally_of(connection, model, version, first, last, signals)

    def _add(self, connection: Connection, readings: Sequence[CountedReading]) -> None:
        versions = {one.day[:2] for one in readings}
        added = added_by(readings, _known(connection, readings), _rules(connection, versions))
        self._count(connection, drift_counts, _CELL, added.cells)
        self._count(connection, drift_words, _WORD, added.words)
        answers = list(answers_of(readings))
        if answers:
            connection.execute(self._db.insert_once(drift_answers, _ANSWER), answers)

    def _count(
        self, connection: Connection, table: sa.Table, key: Sequence[str], counts: dict[Any, int]
    ) -> None:
        """Rows in one order, so that two who write do not wait for each other in a circle."""
        rows = [
            {**dict(zip(key, values, strict=True)), "count": number}
            for values, number in sorted(counts.items())
        ]
        connection.execute(self._db.insert_adding(table, key, "count"), rows)


def _known(connection: Connection, readings: Sequence[CountedReading]) -> KnownWords:
    days = {one.day for one in readings}
    key = sa.tuple_(drift_words.c.model, drift_words.c.version, drift_words.c.slice)
    columns = (drift_words.c[name] for name in _WORD)
    known = KnownWords()
    for model, version, day, leaf, signal, word in connection.execute(
        sa.select(*columns).where(key.in_(sorted(days)))
    ):
        known.note((model, version, day), leaf, signal, word)
    return known


def _rules(connection: Connection, versions: set[Version]) -> dict[Version, OutlierRule]:
    """Of the newest reference of each."""
    of = sa.tuple_(drift_references.c.model, drift_references.c.version).in_(sorted(versions))
    columns = (drift_references.c[name] for name in ("model", "version", "outlier_rule"))
    rows = connection.execute(sa.select(*columns).where(of).order_by(drift_references.c.number)).all()
    newest = {(row.model, row.version): row.outlier_rule for row in rows}
    return {key: from_json(OutlierRule, text) for key, text in newest.items() if text is not None}
