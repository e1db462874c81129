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
from functools import lru_cache
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

_INSERT: Final = sa.insert(study_records)


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
        row = {"at": at, "document": document, "job_id": trace.job_id}
        connection.execute(_INSERT, row)


class StudyRecords:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, trace: StudyTrace) -> None:
        """Write a record that belongs to no other row."""
        with self._db.write() as connection:
            append_record(connection, trace, self._db.now(connection))

    def newest_after(self, seq: int, limit: int) -> tuple[StoredRecord, ...]:
        """The newest records above that number, the oldest of them first, at most `limit`; for a look at what is
        usual now, since PostgreSQL may show one later that this has passed by.
        """
        query = sa.select(study_records).where(study_records.c.seq > seq)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(study_records.c.seq.desc()).limit(limit)).all()
        return tuple(record for row in reversed(rows) if (record := record_of(row)) is not None)

    def are_new(self, fold: str) -> bool:
        """Whether the fold may have something to take; asks nothing while nobody wrote to an SQLite ledger."""
        return rows_are_new(self._db, study_records, fold)

    @contextmanager
    def folding(self, fold: str, limit: int) -> Iterator[tuple[Connection, Sequence[StoredRecord]]]:
        """The next records that the fold has not taken, the oldest first, in a transaction that notes that it has.

        Of as many rows as `limit`; one that cannot be read is passed over.

        Only one at a time folds under a name.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"fold {fold}")
            rows = rows_to_fold(self._db, connection, study_records, fold, limit)
            yield connection, [record for row in rows if (record := record_of(row)) is not None]
            if rows:
                note_taken(self._db, connection, fold, rows[-1].seq)

    def sampled(self, start: datetime, end: datetime, most: int) -> Iterator[StoredRecord]:
        """Records from `start` to before `end` in their order; evenly chosen ones of more than `most`."""
        within = (study_records.c.at >= start) & (study_records.c.at < end)
        with self._db.read() as connection:
            number = connection.execute(
                sa.select(sa.func.count()).select_from(study_records).where(within)
            ).scalar_one()
            step = max(1, -(-number // most))
            chosen = sa.select(study_records).where(within & (study_records.c.seq % step == 0))
            rows = connection.execute(chosen.order_by(study_records.c.seq)).all()
        return (record for row in rows if (record := record_of(row)) is not None)

    @property
    def newest(self) -> int:
        """The number of the newest record; 0 before the first."""
        return _number(self._db, sa.select(sa.func.max(study_records.c.seq)))


def rows_are_new(database: Database, table: sa.Table, fold: str) -> bool:
    """Whether the fold may have rows of a table to take; asks nothing while nobody wrote to an SQLite ledger."""

    def ask() -> bool:
        newest = _number(database, sa.select(sa.func.max(table.c.seq)))
        return newest > _number(database, _cursor(fold))

    return database.remembered(f"{table.name} for {fold}", ask)


def rows_to_fold(
    database: Database, connection: Connection, table: sa.Table, fold: str, limit: int
) -> Sequence[sa.Row[Any]]:
    """The oldest rows of a table with `seq` and `at` that a fold has not taken; none can still come before them."""
    after = last_taken(connection, fold) or 0
    query = sa.select(table).where(table.c.seq > after)
    rows = connection.execute(query.order_by(table.c.seq).limit(limit)).all()
    if not database.is_sqlite:
        settled = database.now(connection) - SETTLED
        unsettled = next((place for place, row in enumerate(rows) if row.at > settled), len(rows))
        rows = rows[:unsettled]
    return rows


def note_taken(database: Database, connection: Connection, fold: str, last: int) -> None:
    """The fold has taken every row up to number `last`, with this transaction."""
    connection.execute(database.insert_over(folds, ("name",)), {"name": fold, "seq": last})


def last_taken(connection: Connection, fold: str) -> int | None:
    """The number of the last row that the fold has taken; None for one that never took any."""
    last: int | None = connection.execute(_cursor(fold)).scalar_one_or_none()
    return last


def _cursor(fold: str) -> sa.Select[Any]:
    return sa.select(folds.c.seq).where(folds.c.name == fold)


def _number(database: Database, query: sa.Select[Any]) -> int:
    with database.read() as connection:
        number: int | None = connection.execute(query).scalar_one_or_none()
    return number or 0


def record_of(row: sa.Row[Any]) -> StoredRecord | None:
    """None, and a line in the log, for one that this release cannot read: it holds up no other."""
    try:
        return StoredRecord(row.seq, row.at, _trace_of(row.document))
    except InvalidDocument as error:
        logger.warning("records.unreadable", extra={"seq": row.seq, "at": error.pointer})
        return None


@lru_cache(maxsize=1000)
def _trace_of(document: str) -> StudyTrace:
    """Every view reads the same records within seconds: one reading of the text does for all of them."""
    return from_json(StudyTrace, document)
