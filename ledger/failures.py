"""The jobs that have failed of late, for those who watch the site."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from ledger.database import Database
from ledger.state import JobState
from ledger.tables import jobs


class Failures:
    """Counts jobs by how they failed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def number(self, code: str, within: timedelta) -> int:
        """How many jobs have ended with the error `code` in the time until now."""
        ended = (jobs.c.state == JobState.FAILED) & (jobs.c.error_code == code)
        with self._db.read() as connection:
            recent = jobs.c.finished_at > self._db.now(connection) - within
            return int(connection.execute(sa.select(sa.func.count()).where(ended & recent)).scalar() or 0)
