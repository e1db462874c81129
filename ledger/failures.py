"""The jobs that have failed of late, for those who watch the site, and for readers."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.study import StudyRef
from ledger.database import Database
from ledger.state import JobState
from ledger.tables import jobs


class Failures:
    """Finds jobs by how they failed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def number(self, code: str, within: timedelta) -> int:
        """How many jobs have ended with the error `code` in the time until now."""
        with self._db.read() as connection:
            query = sa.select(sa.func.count()).where(self._failed(connection, code, within))
            return int(connection.execute(query).scalar() or 0)

    def studies(self, code: str, within: timedelta) -> tuple[StudyRef, ...]:
        """What these jobs were to read, the oldest first."""
        columns = (jobs.c.source, jobs.c.study_uid, jobs.c.series_uids, jobs.c.inputs)
        with self._db.read() as connection:
            failed = self._failed(connection, code, within)
            query = sa.select(*columns).where(failed).order_by(jobs.c.finished_at)
            return tuple(
                StudyRef(row.source, row.study_uid, tuple(row.series_uids), tuple(row.inputs))
                for row in connection.execute(query)
            )

    def _failed(self, connection: Connection, code: str, within: timedelta) -> sa.ColumnElement[bool]:
        recent = jobs.c.finished_at > self._db.now(connection) - within
        return (jobs.c.state == JobState.FAILED) & (jobs.c.error_code == code) & recent
