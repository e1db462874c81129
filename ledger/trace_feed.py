"""The records whose traces a sink has not taken yet; each sink goes at its own pace.

Nothing is locked while a batch is on its way, and a batch may come twice after a crash: its spans have the same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.slow_limits import slow_limits_of
from ledger.study_records import (
    StoredRecord,
    StudyRecords,
    last_taken,
    note_taken,
    record_of,
    rows_to_fold,
)
from ledger.tables import study_records


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """Records up to number `last`.

    `live` has the last reading that a caller waited for, of each job of which a silent reading is among the records.
    `slow_s` is from when on each record counts as slow, by number and modality.
    """

    records: Sequence[StoredRecord]
    last: int
    live: Mapping[str, StoredRecord]
    slow_s: Mapping[int, Mapping[str, float]]


class TraceFeed:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database, records: StudyRecords) -> None:
        self._db = database
        self._records = records
        self._limits: Mapping[date, Mapping[str, float]] = {}

    def next(self, sink: str, limit: int) -> TraceBatch | None:
        """The oldest records that the sink has not taken; None when there is none."""
        if not self._records.are_new(_fold(sink)):
            return None
        with self._db.read() as connection:
            rows = rows_to_fold(self._db, connection, study_records, _fold(sink), limit)
            records = [record for row in rows if (record := record_of(row)) is not None]
            silent = {one.trace.job_id for one in records if not one.trace.is_live and one.trace.job_id}
            live = _live(connection, silent)
        if not rows:
            return None
        slow_s = {one.seq: self._slow_s(one.at) for one in (*records, *live.values())}
        return TraceBatch(records, rows[-1].seq, live, slow_s)

    def _slow_s(self, at: datetime) -> Mapping[str, float]:
        day = at.date()
        if day not in self._limits:
            with self._db.write() as connection:
                self._limits = {**self._limits, day: slow_limits_of(self._db, connection, at)}
        return self._limits[day]

    def took(self, sink: str, last: int) -> None:
        """The sink has everything up to number `last`."""
        with self._db.write() as connection:
            note_taken(self._db, connection, _fold(sink), last)

    def pass_by(self, sink: str, before: datetime) -> int:
        """Give up what is older and was not taken yet; how many records that are. A new sink begins there."""
        if not self._records.are_new(_fold(sink)):
            return 0
        with self._db.write() as connection:
            cursor = last_taken(connection, _fold(sink))
            old = (study_records.c.seq > (cursor or 0)) & (study_records.c.at < before)
            query = sa.select(sa.func.max(study_records.c.seq), sa.func.count()).where(old)
            last, number = connection.execute(query).one()
            if last is not None:
                note_taken(self._db, connection, _fold(sink), last)
        return int(number) if cursor is not None else 0


def _fold(sink: str) -> str:
    return f"traces {sink}"


def _live(connection: Connection, jobs: Collection[str | None]) -> dict[str, StoredRecord]:
    """The last one by job; those that were deleted, or written before records named their job, are left out."""
    if not jobs:
        return {}
    query = sa.select(study_records).where(study_records.c.job_id.in_(sorted(filter(None, jobs))))
    records = map(record_of, connection.execute(query.order_by(study_records.c.seq)))
    return {one.trace.job_id: one for one in records if one and one.trace.is_live and one.trace.job_id}
