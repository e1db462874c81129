"""What waits to be read, in few rows however much it is: studies of one model and priority that are due together."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from canary.replicas import DueStudies
from core.priority import Priority
from ledger.database import Database
from ledger.state import JobState
from ledger.tables import jobs
from ledger.tables.base import EPOCH, MICROSECOND

TOGETHER_US: Final = 10_000_000
BEGUN_OR_NOT: Final = (JobState.QUEUED, JobState.WAITING, JobState.RUNNING)


class WaitingStudies:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> tuple[DueStudies, ...]:
        """The studies whose time to be read has come, those that are being read among them.

        They are due when their priority wants them begun, or by their caller's deadline if that is sooner, to ten
        seconds. One that waits for its source, or for more objects, needs no replica yet.
        """
        if not self._db.remembered("whether a study waits for a replica", self._any):
            return ()
        with self._db.read() as connection:
            rows = connection.execute(_GROUPS, {"now": self._db.now(connection)}).all()
        return tuple(
            DueStudies(
                row.model,
                Priority(row.priority),
                EPOCH + row.together * TOGETHER_US * MICROSECOND,
                row.studies,
            )
            for row in rows
        )

    def _any(self) -> bool:
        query = sa.select(jobs.c.id).where(jobs.c.state.in_(BEGUN_OR_NOT)).limit(1)
        with self._db.read() as connection:
            return connection.execute(query).first() is not None


def _groups() -> sa.Select[Any]:
    is_sooner = jobs.c.deadline.is_not(None) & (jobs.c.deadline < jobs.c.scheduled_at)
    due = sa.type_coerce(sa.case((is_sooner, jobs.c.deadline), else_=jobs.c.scheduled_at), sa.BigInteger)
    together = (due // sa.literal_column(str(TOGETHER_US), sa.BigInteger)).label("together")
    now = sa.bindparam("now", type_=jobs.c.not_before.type)
    ripe = (jobs.c.state == JobState.RUNNING) | (jobs.c.not_before <= now)
    rows = sa.select(jobs.c.model, jobs.c.priority, together, sa.func.count().label("studies"))
    return rows.where(jobs.c.state.in_(BEGUN_OR_NOT) & ripe).group_by(jobs.c.model, jobs.c.priority, together)


_GROUPS: Final = _groups()
