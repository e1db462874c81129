"""What finished jobs must still bring somewhere: at least once, until it arrived or is a dead letter."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ledger.database import Database
from ledger.records import ClaimedDelivery
from ledger.state import JobState
from ledger.tables import deliveries, jobs

DUE, DONE, DEAD = "due", "done", "dead"


class Outbox:
    """Claim what is due, say how it went. When nothing of a job is due any more, the job is completed."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def claim_deliveries(
        self, worker: str, *, now: datetime, lease_s: float, limit: int
    ) -> tuple[ClaimedDelivery, ...]:
        """Take up to `limit` deliveries that are due and in nobody's hands."""
        due = (deliveries.c.state == DUE) & (deliveries.c.not_before <= now)
        with self._db.read() as connection:
            if connection.execute(sa.select(deliveries.c.id).where(due).limit(1)).first() is None:
                return ()
        query = self._db.locked(
            sa.select(deliveries).where(due).order_by(deliveries.c.not_before).limit(limit)
        )
        with self._db.write() as connection:
            rows = connection.execute(query).mappings().all()
            return tuple(self._take(connection, row, worker, now, lease_s) for row in rows)

    def delivered(self, delivery_id: str, now: datetime, seconds: float = 0.0) -> None:
        """It arrived, after `seconds` of carrying, which count for the job's stage `store`.

        Also heard from a bearer who was slow and whose delivery was given up meanwhile.
        """
        self._end(delivery_id, {"state": DONE, "error_code": None}, (DUE, DEAD), now, seconds)

    def delivery_failed(
        self, delivery_id: str, error_code: str, *, retry_at: datetime | None, now: datetime
    ) -> None:
        """Try again at `retry_at`, or give up: the job completes and shows what was not delivered."""
        if retry_at is None:
            self._end(delivery_id, {"state": DEAD, "error_code": error_code}, (DUE,), now)
            return
        with self._db.write() as connection:
            values = {"not_before": retry_at, "error_code": error_code}
            connection.execute(sa.update(deliveries).where(deliveries.c.id == delivery_id).values(**values))

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedDelivery:
        """In hand means: not due again before the lease has run out."""
        values = {
            "attempt": row["attempt"] + 1,
            "worker": worker,
            "not_before": now + timedelta(seconds=lease_s),
        }
        connection.execute(sa.update(deliveries).where(deliveries.c.id == row["id"]).values(**values))
        return ClaimedDelivery(
            id=row["id"],
            job_id=row["job_id"],
            kind=row["kind"],
            destination=row["destination"],
            document=row["document"],
            payload=row["payload"],
            attempt=row["attempt"] + 1,
        )

    def _end(
        self,
        delivery_id: str,
        values: dict[str, str | None],
        only_from: tuple[str, ...],
        now: datetime,
        seconds: float = 0.0,
    ) -> None:
        this = (deliveries.c.id == delivery_id) & deliveries.c.state.in_(only_from)
        with self._db.write() as connection:
            job_id = connection.execute(
                sa.select(deliveries.c.job_id).where(deliveries.c.id == delivery_id)
            ).scalar_one()
            job = connection.execute(self._db.held(sa.select(jobs.c.stages_s).where(jobs.c.id == job_id)))
            stages_s = job.scalar_one()
            stages_s = stages_s | {"store": round(stages_s.get("store", 0.0) + seconds, 6)}
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(stages_s=stages_s))
            connection.execute(sa.update(deliveries).where(this).values(**values))
            open_ones = (deliveries.c.job_id == job_id) & (deliveries.c.state == DUE)
            if connection.execute(sa.select(deliveries.c.id).where(open_ones).limit(1)).first() is None:
                storing = (jobs.c.id == job_id) & (jobs.c.state == JobState.STORING)
                ended = {"state": JobState.COMPLETED, "stage": None, "finished_at": now}
                connection.execute(sa.update(jobs).where(storing).values(**ended))
