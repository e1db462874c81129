"""What is no longer needed is not kept: a finished job names a study, and its documents hold one."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.tables import deliveries, documents, idempotency, jobs, readings, shadow_tasks

BATCH_SIZE = 500  # a transaction of many rows would keep callers waiting


class Retention:
    """Deletes old finished jobs with all that names a study.

    What judges a version stays, by pseudonyms only: decisions, exposures, shadows' outcomes, escalations; and the
    audit chain stays whole. A pending shadow task stays too, whatever became of its job.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def purge(self, older_than: datetime) -> int:
        """Delete the jobs that finished before `older_than`, idempotency keys included; returns their number.

        An object of such a study that arrives again begins a new job.
        """
        total = 0
        while True:
            with self._db.write() as connection:
                deleted = self._purge_some(connection, older_than)
            total += deleted
            if deleted < BATCH_SIZE:
                break
        while self._purge_shadows(older_than) == BATCH_SIZE:
            pass
        return total

    def _purge_some(self, connection: Connection, older_than: datetime) -> int:
        old = jobs.c.finished_at < older_than  # only a job that has ended has this time
        query = self._db.locked(sa.select(jobs.c.id).where(old).limit(BATCH_SIZE))
        ids = connection.execute(query).scalars().all()
        for table in (documents, deliveries, idempotency, readings):
            connection.execute(sa.delete(table).where(table.c.job_id.in_(ids)))
        return connection.execute(sa.delete(jobs).where(jobs.c.id.in_(ids))).rowcount if ids else 0

    def _purge_shadows(self, older_than: datetime) -> int:
        old = sa.select(shadow_tasks.c.id).where(shadow_tasks.c.ended_at < older_than).limit(BATCH_SIZE)
        with self._db.write() as connection:
            ids = connection.execute(old).scalars().all()
            return connection.execute(sa.delete(shadow_tasks).where(shadow_tasks.c.id.in_(ids))).rowcount
