"""The metrics that records, marks and answers add up to, each series a row: every replica tells the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json, to_json
from ledger.database import Database
from ledger.slow_limits import slow_limits_of
from ledger.study_marks import StudyMarks, add_marks, seconds_of
from ledger.study_records import StoredRecord, StudyRecords
from ledger.tables import metric_series
from observability.metrics.funnel import marks_of, observations_of_mark
from observability.metrics.of_records import observations_of
from observability.metrics.series import Key, Observation, Series, folded
from observability.record import StudyTrace
from observability.traces.kept import Keeping, why_kept

FOLD: Final = "metrics"
OF_MARKS: Final = "metrics of marks"
BATCH_SIZE: Final = 200
KEPT: Final = timedelta(days=30)
MOST_LINES: Final = 1640


class MetricSeries:
    """All raise LedgerUnavailable. Traces that `trace_sampling` keeps become exemplars.

    A series that nothing was added to for `KEPT` is told no more, so that versions of long ago take no room.
    """

    def __init__(self, database: Database, records: StudyRecords, marks: StudyMarks) -> None:
        self._db = database
        self._records = records
        self._marks = marks

    def all(self) -> Mapping[Key, Series]:
        with self._db.read() as connection:
            return _read(connection, self._db.now(connection))

    def fold(self, trace_sampling: float) -> bool:
        """Add the next records and marks that are not in it yet; whether there were any."""
        any_records = self._records.are_new(FOLD) and self._fold_records(trace_sampling)
        any_marks = self._marks.are_new(OF_MARKS) and self._fold_marks()
        return any_records or any_marks

    def add(self, seen: Sequence[Observation]) -> None:
        """Add what stands in no row: a process that ends before has counted it in vain."""
        with self._db.write_unsynced() as connection:
            self._one_at_a_time(connection)
            self._put(connection, seen)

    def _fold_records(self, trace_sampling: float) -> bool:
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            self._one_at_a_time(connection)
            keeping = self._keeping(connection, records, trace_sampling)
            traces = [(one.trace, _kept(one.trace, keeping[one.at.date()])) for one in records]
            marks = [mark for trace, kept in traces for mark in marks_of(trace, kept)]
            add_marks(self._db, connection, marks, self._db.now(connection))
            self._put(connection, [one for trace, kept in traces for one in observations_of(trace, kept)])
        return bool(records)

    def _fold_marks(self) -> bool:
        with self._db.write() as connection:
            self._one_at_a_time(connection)
            taken = self._marks.take(connection, OF_MARKS, BATCH_SIZE)
            seen = [
                one
                for stored in taken or ()
                for one in observations_of_mark(stored.mark, seconds_of(stored.at))
            ]
            self._put(connection, seen)
        return taken is not None

    def _keeping(
        self, connection: Connection, records: Sequence[StoredRecord], share: float
    ) -> dict[date, Keeping]:
        """What is kept of the records of each day (UTC)."""
        days = {one.at.date(): one.at for one in records}
        return {day: Keeping(share, slow_limits_of(self._db, connection, at)) for day, at in days.items()}

    def _one_at_a_time(self, connection: Connection) -> None:
        """Whoever adds reads a sum first."""
        self._db.serialise(connection, "metric series")

    def _put(self, connection: Connection, seen: Sequence[Observation]) -> None:
        if not seen:
            return
        now = self._db.now(connection)
        connection.execute(sa.delete(metric_series).where(metric_series.c.at < now - KEPT))
        known = _read(connection, now)
        changed = folded(known, seen, MOST_LINES)
        begun = {
            key: replace(series, since_s=seconds_of(now))
            for key, series in changed.items()
            if key not in known
        }
        rows = [_row(key, series) | {"at": now} for key, series in (changed | begun).items()]
        connection.execute(self._db.insert_over(metric_series, ("name", "labels")), rows)


def _kept(trace: StudyTrace, keeping: Keeping) -> str | None:
    """The id of an exported trace; None of one that is not."""
    return trace.trace_id if why_kept(trace, keeping) else None


def _read(connection: Connection, now: datetime) -> dict[Key, Series]:
    rows = connection.execute(sa.select(metric_series).where(metric_series.c.at >= now - KEPT)).all()
    return {(row.name, tuple(json.loads(row.labels))): from_json(Series, row.document) for row in rows}


def _row(key: Key, series: Series) -> dict[str, Any]:
    labels = json.dumps(key[1], ensure_ascii=False)
    return {"name": key[0], "labels": labels, "document": to_json(Series, series)}
