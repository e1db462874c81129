"""The metrics that the records of studies add up to, each series a row: who scrapes any replica reads the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json, to_json
from ledger.database import Database
from ledger.slow_limits import slow_limits_of
from ledger.study_records import StoredRecord, StudyRecords
from ledger.tables import metric_series
from observability.metrics.of_records import observations_of
from observability.metrics.series import Key, Series, folded
from observability.traces.kept import Keeping, why_kept

FOLD: Final = "metrics"
BATCH_SIZE: Final = 200
KEPT: Final = timedelta(days=30)
MOST_LINES: Final = 1900


class MetricSeries:
    """All raise LedgerUnavailable. Traces that `trace_sampling` keeps become exemplars.

    A series that nothing was added to for `KEPT` is told no more, so that versions of long ago take no room.
    """

    def __init__(self, database: Database, records: StudyRecords) -> None:
        self._db = database
        self._records = records

    def all(self) -> Mapping[Key, Series]:
        with self._db.read() as connection:
            return _read(connection, self._db.now(connection))

    def fold(self, trace_sampling: float) -> bool:
        """Add the next records that are not in it yet; whether there were any."""
        if not self._records.are_new(FOLD):
            return False
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            if records:
                self._add(connection, records, trace_sampling)
        return bool(records)

    def _add(self, connection: Connection, records: Sequence[StoredRecord], trace_sampling: float) -> None:
        now = self._db.now(connection)
        connection.execute(sa.delete(metric_series).where(metric_series.c.at < now - KEPT))
        days = {one.at.date(): one.at for one in records}
        limits = {day: slow_limits_of(self._db, connection, at) for day, at in days.items()}
        keeping = {day: Keeping(trace_sampling, slow_s) for day, slow_s in limits.items()}
        seen = (
            observation
            for one in records
            for observation in observations_of(
                one.trace, one.trace.trace_id if why_kept(one.trace, keeping[one.at.date()]) else None
            )
        )
        changed = folded(_read(connection, now), seen, MOST_LINES)
        rows = [_row(key, series) | {"at": now} for key, series in changed.items()]
        connection.execute(self._db.insert_over(metric_series, ("name", "labels")), rows)


def _read(connection: Connection, now: datetime) -> dict[Key, Series]:
    rows = connection.execute(sa.select(metric_series).where(metric_series.c.at >= now - KEPT)).all()
    return {(row.name, tuple(json.loads(row.labels))): from_json(Series, row.document) for row in rows}


def _row(key: Key, series: Series) -> dict[str, Any]:
    labels = json.dumps(key[1], ensure_ascii=False)
    return {"name": key[0], "labels": labels, "document": to_json(Series, series)}
