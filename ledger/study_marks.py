"""How far each study has come with a model: a row for each step, written where the step is seen, at most once.

Whoever counts takes the rows in their order, each once. A truth may be told before its study is read: then the
reading is what confirms it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.state import HAS_RESULT
from ledger.study_records import note_taken, rows_are_new, rows_to_fold
from ledger.tables import EPOCH, MICROSECOND, decisions, jobs, study_marks
from observability.metrics.funnel import Step, StudyMark

KEY: Final = ("study_key", "model", "step")
PAIR: Final = frozenset({Step.PROCESSED, Step.CONFIRMED})
SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class StoredMark:
    """`seq` rises with each mark; there may be gaps."""

    seq: int
    at: datetime
    mark: StudyMark


def add_marks(database: Database, connection: Connection, marks: Iterable[StudyMark], at: datetime) -> None:
    """Write within a transaction what is not there yet; sorted, so that two who write the same wait in turn."""
    rows = [
        _row(mark, at) for mark in sorted(marks, key=lambda mark: (mark.study_key, mark.model, mark.step))
    ]
    if rows:
        connection.execute(database.insert_once(study_marks, KEY), rows)


def delivered_statement(database: Database) -> sa.Insert:
    """Marks the study of `this_job` as delivered at the time `now`, if the job has a result; once made, often used.

    The study's pseudonym stands in the decision of the job that read it.
    """
    now = sa.bindparam("now", type_=study_marks.c.at.type)
    now_us, accepted_us = (sa.type_coerce(at, sa.BigInteger) for at in (now, jobs.c.created_at))
    seconds = sa.cast(now_us - accepted_us, sa.Float) / SECOND_US
    of_reader = decisions.c.job_id == sa.func.coalesce(jobs.c.same_as, jobs.c.id)
    delivered = sa.literal(Step.DELIVERED.value)
    found = (
        sa.select(decisions.c.study_key, jobs.c.model, delivered, now, jobs.c.priority, seconds)
        .join(decisions, of_reader)
        .where((jobs.c.id == sa.bindparam("this_job")) & jobs.c.state.in_(sorted(HAS_RESULT)))
        .limit(1)
    )
    return database.insert_once(study_marks, KEY).from_select([*KEY, "at", "priority", "seconds"], found)


class StudyMarks:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, marks: Iterable[StudyMark]) -> None:
        """Write marks that belong to no other row; those that are there already stay as they are."""
        with self._db.write_unsynced() as connection:
            add_marks(self._db, connection, marks, self._db.now(connection))

    def are_new(self, fold: str) -> bool:
        """Whether the fold may have something to take; asks nothing while nobody wrote to an SQLite ledger."""
        return rows_are_new(self._db, study_marks, fold)

    def take(self, connection: Connection, fold: str, limit: int) -> list[StoredMark] | None:
        """What is to be counted of the next rows, taken with this transaction; None where there are none."""
        rows = rows_to_fold(self._db, connection, study_marks, fold, limit)
        if not rows:
            return None
        note_taken(self._db, connection, fold, rows[-1].seq)
        return _counted(connection, rows)


def _counted(connection: Connection, rows: Sequence[sa.Row[Any]]) -> list[StoredMark]:
    """What is to be counted of the rows that a fold takes.

    Of a reading and a truth of the same study the later one confirms. A delivery leads to the trace of the reading.
    """
    of_them = study_marks.c.study_key.in_(sorted({row.study_key for row in rows}))
    pairs = connection.execute(
        sa.select(study_marks).where(of_them & study_marks.c.step.in_(sorted(PAIR)))
    ).all()
    by_key = {(row.study_key, row.model, row.step): row for row in pairs}
    told: list[StoredMark] = []
    for row in rows:
        processed, confirmed = (
            by_key.get((row.study_key, row.model, step.value)) for step in (Step.PROCESSED, Step.CONFIRMED)
        )
        if row.step != Step.CONFIRMED:
            trace_id = processed.trace_id if processed is not None else None
            told.append(StoredMark(row.seq, row.at, _mark(row, trace_id)))
        if processed is None or confirmed is None or row.seq != max(processed.seq, confirmed.seq):
            continue
        told.append(StoredMark(row.seq, row.at, StudyMark(row.study_key, row.model, Step.CONFIRMED)))
    return told


def seconds_of(at: datetime) -> float:
    """Since the Unix epoch."""
    return (at - EPOCH) // MICROSECOND / SECOND_US


def _row(mark: StudyMark, at: datetime) -> dict[str, Any]:
    return {
        "study_key": mark.study_key,
        "model": mark.model,
        "step": mark.step.value,
        "at": at,
        "priority": mark.priority or None,
        "seconds": mark.seconds,
        "trace_id": mark.trace_id,
    }


def _mark(row: sa.Row[Any], trace_id: str | None) -> StudyMark:
    return StudyMark(row.study_key, row.model, Step(row.step), row.priority or "", row.seconds, trace_id)
