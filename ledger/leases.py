"""Running jobs under leases. A worker that dies loses its jobs to others; a token fences all it might still say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.explain import DecisionRow
from ledger.database import Database
from ledger.decisions import write_decisions
from ledger.jobs import job_of
from ledger.records import ClaimedJob, Delivery, LeaseLost
from ledger.shadow_records import ShadowTask
from ledger.shadows import enqueue_shadows
from ledger.state import JobState
from ledger.tables import deliveries, documents, jobs

MAX_ATTEMPTS = 8  # a study that takes its worker down with it must not do so for ever


class Leases:
    """Claim, renew, complete, fail."""

    def __init__(self, database: Database, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._db = database
        self._max_attempts = max_attempts

    def claim(self, worker: str, *, now: datetime, lease_s: float, limit: int) -> tuple[ClaimedJob, ...]:
        """Take up to `limit` jobs whose turn has come, also those of workers whose lease ran out."""
        if not self._anything_due(now):
            return ()
        with self._db.write() as connection:
            due = self._db.locked(sa.select(jobs).where(_due(now)).order_by(jobs.c.turn).limit(limit))
            rows = connection.execute(due).mappings().all()
            claimed = [self._take(connection, row, worker, now, lease_s) for row in rows]
        return tuple(each for each in claimed if each is not None)

    def renew(self, worker: str, tokens: Sequence[str], *, now: datetime, lease_s: float) -> frozenset[str]:
        """Extend the leases behind `tokens`; returns the tokens that are no longer good."""
        until = now + timedelta(seconds=lease_s)
        mine = jobs.c.token.in_(tokens) & (jobs.c.worker == worker) & (jobs.c.state == JobState.RUNNING)
        with self._db.write() as connection:
            connection.execute(sa.update(jobs).where(mine).values(lease_until=until))
            good = connection.execute(sa.select(jobs.c.token).where(mine)).scalars().all()
        return frozenset(tokens) - frozenset(good)

    def stage(self, token: str, name: str, now: datetime) -> None:
        """The job has come to stage `name`. Raises LeaseLost."""
        with self._db.write() as connection:
            done = connection.execute(sa.update(jobs).where(_running(token)).values(stage=name))
            if done.rowcount != 1:
                raise LeaseLost("the job is no longer this worker's")

    def complete(
        self,
        token: str,
        *,
        result: Mapping[str, Any],
        documents_by_kind: Mapping[str, bytes],
        deliveries_to_make: Sequence[Delivery],
        stages_s: Mapping[str, float],
        model: str,
        now: datetime,
        decisions: Sequence[DecisionRow] = (),
        shadows: Sequence[ShadowTask] = (),
        study_key: str = "",
    ) -> None:
        """Result, documents, outbox, decisions and the silent readings that are owed, in one transaction.

        `study_key` is the study's pseudonym. Raises LeaseLost, and then nothing was written.
        """
        with self._db.write() as connection:
            job = self._mine(connection, token)
            for kind, content in documents_by_kind.items():
                row = {"job_id": job["id"], "kind": kind, "content": content}
                connection.execute(sa.insert(documents).values(**row))
            for delivery in deliveries_to_make:
                connection.execute(sa.insert(deliveries).values(**_outbox_row(job["id"], delivery, now)))
            write_decisions(self._db, connection, job["id"], study_key, decisions, now)
            enqueue_shadows(self._db, connection, job["id"], study_key, shadows, now)
            storing = bool(deliveries_to_make)
            connection.execute(
                sa.update(jobs)
                .where(jobs.c.id == job["id"])
                .values(
                    state=JobState.STORING if storing else JobState.COMPLETED,
                    stage="store" if storing else None,
                    finished_at=None if storing else now,
                    result=dict(result),
                    stages_s=dict(stages_s),
                    model=model,
                    token=None,
                    lease_until=None,
                )
            )

    def fail(self, token: str, code: str, detail: str, *, retry_at: datetime | None, now: datetime) -> None:
        """End the job with an error, or have it tried again at `retry_at`. Raises LeaseLost."""
        ended = {"state": JobState.FAILED, "finished_at": now, "error_code": code, "error_detail": detail}
        again = {"state": JobState.QUEUED, "not_before": retry_at}
        values = {"token": None, "lease_until": None, "stage": None}
        with self._db.write() as connection:
            job = self._mine(connection, token)
            change = values | (ended if retry_at is None else again)
            connection.execute(sa.update(jobs).where(jobs.c.id == job["id"]).values(**change))

    def _anything_due(self, now: datetime) -> bool:
        """A read first: an idle worker must not take the write lock twenty times a second."""
        with self._db.read() as connection:
            return connection.execute(sa.select(jobs.c.id).where(_due(now)).limit(1)).first() is not None

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedJob | None:
        if row["attempt"] >= self._max_attempts:
            values = {
                "state": JobState.FAILED,
                "finished_at": now,
                "error_code": "model-error",
                "error_detail": f"given up after {row['attempt']} attempts that did not end",
                "token": None,
                "lease_until": None,
            }
            connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(**values))
            return None
        token = uuid.uuid4().hex
        taken = {
            "state": JobState.RUNNING,
            "attempt": row["attempt"] + 1,
            "token": token,
            "worker": worker,
            "lease_until": now + timedelta(seconds=lease_s),
        }
        connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(**taken))
        return ClaimedJob(job_of(dict(row) | taken), token)  # type: ignore[arg-type]

    def _mine(self, connection: Connection, token: str) -> RowMapping:
        query = self._db.held(sa.select(jobs).where(_running(token)))
        row = connection.execute(query).mappings().first()
        if row is None:
            raise LeaseLost("the job is no longer this worker's")
        return row


def _running(token: str) -> sa.ColumnElement[bool]:
    return (jobs.c.token == token) & (jobs.c.state == JobState.RUNNING)


def _due(now: datetime) -> sa.ColumnElement[bool]:
    """New and retried jobs whose time has come, and running ones whose lease has run out."""
    fresh = jobs.c.state.in_((JobState.QUEUED, JobState.WAITING)) & (jobs.c.not_before <= now)
    abandoned = (jobs.c.state == JobState.RUNNING) & (jobs.c.lease_until <= now)
    return sa.or_(fresh, abandoned)


def _outbox_row(job_id: str, delivery: Delivery, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "job_id": job_id,
        "kind": delivery.kind,
        "destination": delivery.destination,
        "document": delivery.document,
        "payload": None if delivery.payload is None else dict(delivery.payload),
        "state": "due",
        "attempt": 0,
        "not_before": now,
    }
