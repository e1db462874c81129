"""What must still be brought somewhere: at least once, until it arrived or is a dead letter.

Most of it belongs to a job, which is completed with its last delivery; a rollout's notices belong to none.

due ──► in hand ──► done | dead          a lease that runs out makes it due again, and costs a loss
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.errors import WorkerLost
from core.retry import RetryPolicy
from ledger.database import Database
from ledger.records import ClaimedDelivery, DeadLetter, Delivery
from ledger.state import JobState
from ledger.study_marks import delivered_statement
from ledger.tables import deliveries, jobs

DUE: Final = "due"
DONE: Final = "done"
DEAD: Final = "dead"
NO_JOB: Final = ""


class Outbox:
    """Claim what is due, say how it went. When nothing of a job is due any more, the job is completed."""

    def __init__(self, database: Database, policy: RetryPolicy) -> None:
        self._db = database
        self._policy = policy
        self._due_of_job = database.locked(_DUE_OF_JOB)
        self._job_of = database.held(_JOB_OF)
        self._mark_delivered = delivered_statement(database)

    def claim_deliveries(
        self, worker: str, lease_s: float, limit: int, busy_destinations: Collection[str] = ()
    ) -> tuple[ClaimedDelivery, ...]:
        """Take up to `limit` deliveries that are due and in nobody's hands, the oldest first.

        None for a busy destination: a store or host that hangs holds up nobody else's. Either a delivery's
        `destination` or its `lane` names it.
        """
        if not self._db.remembered("deliveries that may come due", self._any_due):
            return ()
        other = _elsewhere(busy_destinations)
        with self._db.read() as connection:  # an idle worker must not take the write lock ten times a second
            due = _due(self._db.now(connection)) & other
            if connection.execute(sa.select(deliveries.c.id).where(due).limit(1)).first() is None:
                return ()
        return self._claim(other, worker, lease_s, limit)

    def _any_due(self) -> bool:
        query = sa.select(deliveries.c.id).where(deliveries.c.state == DUE).limit(1)
        with self._db.read() as connection:
            return connection.execute(query).first() is not None

    def claim_of_job(
        self, job_id: str, worker: str, lease_s: float, busy_destinations: Collection[str] = ()
    ) -> tuple[ClaimedDelivery, ...]:
        """Take all deliveries of one job that are due and in nobody's hands, but none for a busy destination."""
        busy = [*busy_destinations]
        with self._db.write_unsynced() as connection:
            now = self._db.now(connection)
            of_job = {"this_job": job_id, "now": now, "busy": busy}
            rows = connection.execute(self._due_of_job, of_job).mappings().all()
            return self._taken(connection, rows, worker, now, lease_s)

    def renew(self, worker: str, delivery_ids: Collection[str], lease_s: float) -> frozenset[str]:
        """Extend the leases of deliveries that `worker` still has in hand; returns those that it has not."""
        in_hand = (
            deliveries.c.id.in_(delivery_ids) & (deliveries.c.worker == worker) & (deliveries.c.state == DUE)
        )
        with self._db.write_unsynced() as connection:
            until = self._db.now(connection) + timedelta(seconds=lease_s)
            connection.execute(sa.update(deliveries).where(in_hand).values(lease_until=until))
            held = connection.execute(sa.select(deliveries.c.id).where(in_hand)).scalars().all()
        return frozenset(delivery_ids) - frozenset(held)

    def delivered(self, delivery_id: str, seconds: float = 0.0) -> None:
        """It arrived, after `seconds` of carrying, which count for the job's stage `store`.

        Also heard from a bearer who was slow and whose delivery was given up meanwhile. A power cut may take it back:
        then the same is delivered again.
        """
        arrived = {"state": DONE, "error_code": None}
        with self._db.write_unsynced() as connection:
            self._end(connection, delivery_id, arrived, (DUE, DEAD), self._db.now(connection), seconds)

    def delivery_failed(
        self, delivery_id: str, worker: str, error_code: str, *, retry_at: datetime | None
    ) -> None:
        """Try again at `retry_at`, or give up: the job completes and shows what was not delivered.

        Only from the worker that has the delivery in hand: another may be carrying it by now.
        """
        in_hand = (
            (deliveries.c.id == delivery_id) & (deliveries.c.worker == worker) & (deliveries.c.state == DUE)
        )
        values = {"not_before": retry_at, "error_code": error_code, "worker": None, "lease_until": None}
        with self._db.write() as connection:
            if retry_at is not None:
                connection.execute(sa.update(deliveries).where(in_hand).values(**values))
            elif connection.execute(sa.select(deliveries.c.id).where(in_hand)).first() is not None:
                dead, now = {"state": DEAD, "error_code": error_code}, self._db.now(connection)
                self._end(connection, delivery_id, dead, (DUE,), now)

    def dead_letters(self, limit: int = 100, tenant: str | None = None) -> tuple[DeadLetter, ...]:
        """Deliveries that were given up, of one tenant's jobs or of all, the newest first."""
        columns = [deliveries.c[name] for name in DeadLetter.__dataclass_fields__]
        dead = sa.select(*columns).where(deliveries.c.state == DEAD)
        if tenant is not None:
            dead = dead.join(jobs, jobs.c.id == deliveries.c.job_id).where(jobs.c.tenant == tenant)
        query = dead.order_by(deliveries.c.ended_at.desc(), deliveries.c.id).limit(limit)
        with self._db.read() as connection:
            return tuple(DeadLetter(**row) for row in connection.execute(query).mappings())

    def _claim(
        self, condition: sa.ColumnElement[bool], worker: str, lease_s: float, limit: int
    ) -> tuple[ClaimedDelivery, ...]:
        with self._db.write_unsynced() as connection:
            now = self._db.now(connection)
            query = sa.select(deliveries).where(_due(now) & condition).order_by(deliveries.c.not_before)
            rows = connection.execute(self._db.locked(query.limit(limit))).mappings().all()
            return self._taken(connection, rows, worker, now, lease_s)

    def _taken(
        self, connection: Connection, rows: Sequence[RowMapping], worker: str, now: datetime, lease_s: float
    ) -> tuple[ClaimedDelivery, ...]:
        taken = [self._take(connection, row, worker, now, lease_s) for row in rows]
        return tuple(delivery for delivery in taken if delivery is not None)

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedDelivery | None:
        lost = row["lease_until"] is not None
        losses = row["losses"] + lost
        if losses >= self._policy.worker_losses:
            self._end(connection, row["id"], {"state": DEAD, "error_code": WorkerLost.code}, (DUE,), now)
            return None
        values = {
            "attempt": row["attempt"] + (not lost),
            "losses": losses,
            "worker": worker,
            "lease_until": now + timedelta(seconds=lease_s),
        }
        connection.execute(_UPDATE, {**values, "this_delivery": row["id"]})
        after = dict(row) | values
        return ClaimedDelivery(**{name: after[name] for name in ClaimedDelivery.__dataclass_fields__})

    def _end(
        self,
        connection: Connection,
        delivery_id: str,
        values: Mapping[str, str | None],
        only_from: tuple[str, ...],
        now: datetime,
        seconds: float = 0.0,
    ) -> None:
        """End the delivery, and the job with its last one. The job's row is held first, so that one ends last."""
        job = connection.execute(self._job_of, {"this_delivery": delivery_id}).mappings().first()
        ended = {**values, "ended_at": now, "worker": None, "lease_until": None}
        end = {**ended, "this_delivery": delivery_id, "only_from": [*only_from]}
        if job is None:  # it belongs to none, or to one that was purged, and then the delivery was, too
            connection.execute(_END, end)
            return
        this_job = {"this_job": job["id"]}
        if seconds:
            stages_s = job["stages_s"] | {"store": round(job["stages_s"].get("store", 0.0) + seconds, 6)}
            connection.execute(_UPDATE_JOB, {**this_job, "stages_s": stages_s})
        connection.execute(_END, end)
        if values["state"] == DONE:
            connection.execute(self._mark_delivered, {**this_job, "now": now})
        if connection.execute(_STILL_DUE, this_job).first() is None:
            completed = {"state": JobState.COMPLETED, "stage": None, "finished_at": now}
            connection.execute(_COMPLETE, {**this_job, **completed})


def add_deliveries(connection: Connection, job_id: str, made: Sequence[Delivery], now: datetime) -> None:
    """Put a job's deliveries into the outbox within a transaction."""
    if made:
        connection.execute(sa.insert(deliveries), [_row(job_id, delivery, now) for delivery in made])


def add_notices(
    database: Database, connection: Connection, made: Iterable[tuple[str, Delivery]], now: datetime
) -> None:
    """Put deliveries that belong to no job into the outbox within a transaction, each under its id, once."""
    for delivery_id, delivery in made:
        row = {**_row(NO_JOB, delivery, now), "id": delivery_id}
        connection.execute(database.insert_once(deliveries, ("id",)), row)


def lane_of(destination: str) -> str:
    """The store, or the host of a URL.

    >>> lane_of("https://ris.example/jobs/7"), lane_of("pacs")
    ('https://ris.example', 'pacs')
    """
    parts = urlsplit(destination)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else destination


def _elsewhere(busy_destinations: Collection[str]) -> sa.ColumnElement[bool]:
    busy = list(busy_destinations)
    return deliveries.c.lane.not_in(busy) & deliveries.c.destination.not_in(busy) if busy else sa.true()


def _due(now: datetime | sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    free = deliveries.c.lease_until.is_(None) | (deliveries.c.lease_until <= now)
    return (deliveries.c.state == DUE) & (deliveries.c.not_before <= now) & free


# made once: making a statement costs as much as executing it
_BUSY: Final[sa.BindParameter[str]] = sa.bindparam("busy", expanding=True)
_DUE_OF_JOB: Final = (
    sa.select(deliveries)
    .where(_due(sa.bindparam("now", type_=deliveries.c.not_before.type)))
    .where(deliveries.c.job_id == sa.bindparam("this_job"))
    .where(deliveries.c.lane.not_in(_BUSY) & deliveries.c.destination.not_in(_BUSY))
    .order_by(deliveries.c.not_before)
)
_JOB_OF: Final = sa.select(jobs.c.id, jobs.c.stages_s).where(
    jobs.c.id
    == sa.select(deliveries.c.job_id)
    .where(deliveries.c.id == sa.bindparam("this_delivery"))
    .scalar_subquery()
)
_UPDATE: Final = sa.update(deliveries).where(deliveries.c.id == sa.bindparam("this_delivery"))
_END: Final = _UPDATE.where(deliveries.c.state.in_(sa.bindparam("only_from", expanding=True)))
_UPDATE_JOB: Final = sa.update(jobs).where(jobs.c.id == sa.bindparam("this_job"))
_COMPLETE: Final = _UPDATE_JOB.where(jobs.c.state == JobState.STORING)
_STILL_DUE: Final = (
    sa.select(deliveries.c.id)
    .where((deliveries.c.job_id == sa.bindparam("this_job")) & (deliveries.c.state == DUE))
    .limit(1)
)


def _row(job_id: str, delivery: Delivery, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "job_id": job_id,
        "kind": delivery.kind,
        "destination": delivery.destination,
        "lane": lane_of(delivery.destination),
        "document": delivery.document,
        "payload": None if delivery.payload is None else dict(delivery.payload),
        "state": DUE,
        "created_at": now,
        "not_before": now,
        "attempt": 0,
        "losses": 0,
    }
