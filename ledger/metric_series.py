"""The metrics that the records of studies add up to, each series a row: who scrapes any replica reads the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json, to_json
from ledger.database import Database
from ledger.study_records import StudyRecords
from ledger.tables import metric_series
from observability.metrics.of_records import observations_of
from observability.metrics.series import Key, Series, folded
from observability.record import is_sampled

FOLD: Final = "metrics"
BATCH_SIZE: Final = 200
MOST_LINES: Final = 1900


class MetricSeries:
    """Both raise LedgerUnavailable. Traces that `trace_sampling` keeps become exemplars."""

    def __init__(self, database: Database, records: StudyRecords) -> None:
        self._db = database
        self._records = records

    def all(self) -> Mapping[Key, Series]:
        with self._db.read() as connection:
            return _read(connection)

    def fold(self, trace_sampling: float) -> int:
        """Add the records that are not in it yet, some at a time; returns their number."""
        if not self._records.are_new(FOLD):
            return 0
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            seen = (
                observation
                for record in records
                for observation in observations_of(
                    record.trace, record.trace.trace_id if is_sampled(record.trace, trace_sampling) else None
                )
            )
            changed = folded(_read(connection), seen, MOST_LINES) if records else {}
            rows = [_row(key, series) for key, series in changed.items()]
            if rows:
                connection.execute(self._db.insert_over(metric_series, ("name", "labels")), rows)
            return len(records)


def _read(connection: Connection) -> dict[Key, Series]:
    rows = connection.execute(sa.select(metric_series)).all()
    return {(row.name, tuple(json.loads(row.labels))): from_json(Series, row.document) for row in rows}


def _row(key: Key, series: Series) -> dict[str, str]:
    return {"name": key[0], "labels": json.dumps(key[1]), "document": to_json(Series, series)}
