"""One record of each attempt at a study, written with its end, and views of them that each take every record once.

A view (a fold) keeps what it made of the records and how far it has come in one transaction, so that a crash neither
loses a record nor counts one twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import InvalidDocument, from_json, to_json
from ledger.database import Database
from ledger.tables import folds, study_records
from observability.record import StudyTrace

logger = logging.getLogger("serinus.records")
SETTLED: Final = timedelta(seconds=10)
"""On PostgreSQL a number is given before its row can be seen: a fold passes by none that may still appear."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """`seq` rises with each record; there may be gaps."""

    seq: int
    at: datetime
    trace: StudyTrace


def append_record(connection: Connection, trace: StudyTrace | None, at: datetime) -> None:
    """Write the record within the transaction that ends what it tells of."""
    if trace is not None:
        document = to_json(StudyTrace, trace)
        connection.execute(sa.insert(study_records).values(at=at, document=document))


class StudyRecords:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, trace: StudyTrace) -> None:
        """Write a record that belongs to no other row."""
        with self._db.write() as connection:
            append_record(connection, trace, self._db.now(connection))

    def are_new(self, fold: str) -> bool:
        """Whether the fold may have something to take; asks nothing while nobody wrote to an SQLite ledger."""
        return self._db.remembered(f"records for {fold}", lambda: self.newest > self._cursor(fold))

    @contextmanager
    def folding(self, fold: str, limit: int) -> Iterator[tuple[Connection, Sequence[StoredRecord]]]:
        """The next records that the fold has not taken, the oldest first, in a transaction that notes that it has.

        Of as many rows as `limit`; one that cannot be read is passed over.

        Only one at a time folds under a name.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"fold {fold}")
            rows = self._next(connection, fold, limit)
            yield connection, [record for row in rows if (record := _record_of(row)) is not None]
            if rows:
                values = {"name": fold, "seq": rows[-1].seq}
                connection.execute(self._db.insert_over(folds, ("name",)), values)

    def sampled(self, start: datetime, end: datetime, most: int) -> Iterator[StoredRecord]:
        """Records of the time from `start` to before `end` in their order, every so-manieth where there are more than
        `most`."""
        within = (study_records.c.at >= start) & (study_records.c.at < end)
        with self._db.read() as connection:
            number = connection.execute(
                sa.select(sa.func.count()).select_from(study_records).where(within)
            ).scalar_one()
            step = max(1, -(-number // most))
            chosen = sa.select(study_records).where(within & (study_records.c.seq % step == 0))
            rows = connection.execute(chosen.order_by(study_records.c.seq)).all()
        return (record for row in rows if (record := _record_of(row)) is not None)

    def _next(self, connection: Connection, fold: str, limit: int) -> Sequence[sa.Row[Any]]:
        cursor = sa.select(folds.c.seq).where(folds.c.name == fold)
        after = connection.execute(cursor).scalar_one_or_none() or 0
        query = sa.select(study_records).where(study_records.c.seq > after)
        rows = connection.execute(query.order_by(study_records.c.seq).limit(limit)).all()
        if not self._db.is_sqlite:
            settled = self._db.now(connection) - SETTLED
            unsettled = next((place for place, row in enumerate(rows) if row.at > settled), len(rows))
            rows = rows[:unsettled]
        return rows

    @property
    def newest(self) -> int:
        """The number of the newest record; 0 before the first."""
        return self._one(sa.select(sa.func.max(study_records.c.seq)))

    def _cursor(self, fold: str) -> int:
        return self._one(sa.select(folds.c.seq).where(folds.c.name == fold))

    def _one(self, query: sa.Select[Any]) -> int:
        with self._db.read() as connection:
            number: int | None = connection.execute(query).scalar_one_or_none()
        return number or 0


def _record_of(row: sa.Row[Any]) -> StoredRecord | None:
    """None, and a line in the log, for one that this release cannot read: it holds up no other."""
    try:
        return StoredRecord(row.seq, row.at, from_json(StudyTrace, row.document))
    except InvalidDocument as error:
        logger.warning("records.unreadable", extra={"seq": row.seq, "at": error.pointer})
        return None
