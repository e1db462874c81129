"""The silent readings that studies owe: late, but never lost. What they say goes to a store of its own.

due ──► in hand ──► done | failed        a lease that runs out makes it due again
 ▲         │
 └─────────┘  released for a live study, or to be tried again
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.explain import DecisionRow
from ledger.audit import Audit
from ledger.database import Database
from ledger.decisions import write_decisions
from ledger.records import LeaseLost
from ledger.shadow_records import RANK, ClaimedShadow, PairedResult, ShadowResult, ShadowTask
from ledger.tables import decisions, shadow_outcomes, shadow_tasks

DUE, DONE, FAILED = "due", "done", "failed"
READ: Final = "read"
MAX_ATTEMPTS: Final = 25  # a study that takes its silent reader down with it must not do so for ever
GIVEN_UP: Final = "given-up"
ABANDONED: Final = "abandoned"
BATCH_SIZE: Final = 200  # a transaction of many rows would keep callers waiting
OWED_ONCE: Final = ("job_id", "app", "role")


class ShadowTasks:
    """Claim what is due, say how it went. A released reading was not an attempt."""

    def __init__(self, database: Database, audit: Audit, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._db = database
        self._audit = audit
        self._max_attempts = max_attempts

    def enqueue(self, job_id: str, tasks: Sequence[ShadowTask], now: datetime, study_key: str = "") -> None:
        """Owe the readings, each once per job, application and role. `Leases.complete` does it by itself."""
        with self._db.write() as connection:
            enqueue_shadows(self._db, connection, job_id, study_key, tasks, now)

    def claim(
        self,
        worker: str,
        *,
        now: datetime,
        lease_s: float,
        limit: int,
        apps: Collection[str] | None = None,
        roles: Collection[str] | None = None,
    ) -> tuple[ClaimedShadow, ...]:
        """Take up to `limit` readings, the safety net's first, then the oldest; only those of `apps` and `roles`."""
        due = _due(now, roles)
        ready = self._ready(due, apps)
        if not ready:
            return ()
        with self._db.write() as connection:
            rows = self._first(connection, due, ready, limit)
            claimed = [self._take(connection, row, worker, now, lease_s) for row in rows]
        return tuple(each for each in claimed if each is not None)

    def renew(self, worker: str, tokens: Sequence[str], *, now: datetime, lease_s: float) -> frozenset[str]:
        """Extend the leases behind `tokens`; returns the tokens that are no longer good."""
        mine = shadow_tasks.c.token.in_(tokens) & (shadow_tasks.c.worker == worker)
        until = now + timedelta(seconds=lease_s)
        with self._db.write() as connection:
            connection.execute(sa.update(shadow_tasks).where(mine).values(not_before=until))
            good = connection.execute(sa.select(shadow_tasks.c.token).where(mine)).scalars().all()
        return frozenset(tokens) - frozenset(good)

    def done(self, token: str, outcome: Mapping[str, Any], latency_ms: float, now: datetime) -> None:
        """It was read. Raises LeaseLost, and then nothing was written."""
        with self._db.write() as connection:
            row = self._mine(connection, token)
            self._end(connection, row, now, outcome=dict(outcome), latency_ms=latency_ms)

    def failed(self, token: str, code: str, retry_at: datetime | None, now: datetime) -> None:
        """Try again at `retry_at`, or keep the error as how it ended. Raises LeaseLost."""
        with self._db.write() as connection:
            row = self._mine(connection, token)
            if retry_at is None:
                self._end(connection, row, now, error_code=code)
            else:
                self._put_back(connection, row, {"not_before": retry_at, "error_code": code})

    def release(self, token: str) -> None:
        """A live study needs the machine: the reading is due at once for whoever has room. Raises LeaseLost."""
        with self._db.write() as connection:
            row = self._mine(connection, token)
            back = {"not_before": row["created_at"], "attempt": row["attempt"] - 1}
            self._put_back(connection, row, back)

    def abandon(self, model: str, version: str, *, actor: str, reason: str, now: datetime) -> int:
        """A person gives up what a version still owes, as when it will never run again; returns the number.

        Each is kept as a failure. Nothing else ends a debt without a reading or its error.
        """
        owed = (shadow_tasks.c.model == model) & (shadow_tasks.c.version == version)
        query = self._db.held(sa.select(shadow_tasks).where(owed & (shadow_tasks.c.state == DUE)))
        total, some = 0, BATCH_SIZE
        while some == BATCH_SIZE:
            with self._db.write() as connection:
                rows = connection.execute(query.limit(BATCH_SIZE)).mappings().all()
                for row in rows:
                    self._end(connection, row, now, error_code=ABANDONED)
                detail = {"version": version, "reason": reason, "readings": len(rows)}
                if rows:
                    self._audit.append_within(connection, actor, "abandon-readings", model, detail, now)
            some = len(rows)
            total += some
        return total

    def backlog(self, model: str | None = None) -> Mapping[tuple[str, str], int]:
        """Readings still owed, those in hand among them, by (model, version)."""
        owed = shadow_tasks.c.state == DUE
        query = (
            sa.select(shadow_tasks.c.model, shadow_tasks.c.version, sa.func.count())
            .where(owed if model is None else owed & (shadow_tasks.c.model == model))
            .group_by(shadow_tasks.c.model, shadow_tasks.c.version)
        )
        with self._db.read() as connection:
            return {(name, version): number for name, version, number in connection.execute(query)}

    def outcomes(self, model: str, limit: int = 100) -> tuple[ShadowResult, ...]:
        """Newest first, failures among them."""
        columns = [shadow_outcomes.c[name] for name in ShadowResult.__dataclass_fields__]
        query = (
            sa.select(*columns)
            .where(shadow_outcomes.c.model == model)
            .order_by(shadow_outcomes.c.at.desc(), shadow_outcomes.c.job_id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return tuple(ShadowResult(**row) for row in connection.execute(query).mappings())

    def pairs(self, model: str, version: str) -> tuple[PairedResult, ...]:
        """Studies that the version read in silence, beside what was delivered of them; oldest first."""
        of_version = (shadow_outcomes.c.model == model) & (shadow_outcomes.c.version == version)
        query = (
            sa.select(shadow_outcomes)
            .where(of_version & shadow_outcomes.c.error_code.is_(None))
            .order_by(shadow_outcomes.c.at, shadow_outcomes.c.job_id)
        )
        with self._db.read() as connection:
            return tuple(_pair(row) for row in connection.execute(query).mappings())

    def _ready(self, due: sa.ColumnElement[bool], apps: Collection[str] | None) -> list[str]:
        """The applications that something is due for, by reading only, since it is mostly none."""
        with self._db.read() as connection:
            if apps is None:
                found = connection.execute(sa.select(shadow_tasks.c.app).where(due).distinct())
                return sorted(found.scalars())
            return [
                app for app in sorted(apps) if self._is_any(connection, due & (shadow_tasks.c.app == app))
            ]

    def _is_any(self, connection: Connection, wanted: sa.ColumnElement[bool]) -> bool:
        return connection.execute(sa.select(shadow_tasks.c.id).where(wanted).limit(1)).first() is not None

    def _first(
        self, connection: Connection, due: sa.ColumnElement[bool], apps: Sequence[str], limit: int
    ) -> list[RowMapping]:
        """Asked application by application, so that the backlog of one that is away costs nothing."""
        rows: list[RowMapping] = []
        for app in apps:
            query = sa.select(shadow_tasks).where(due & (shadow_tasks.c.app == app))
            oldest = query.order_by(shadow_tasks.c.rank, shadow_tasks.c.created_at).limit(limit)
            rows += connection.execute(self._db.locked(oldest)).mappings().all()
        return sorted(rows, key=lambda row: (row["rank"], row["created_at"]))[:limit]

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedShadow | None:
        """In hand means: not due again before the lease has run out."""
        if row["attempt"] >= self._max_attempts:
            self._end(connection, row, now, error_code=GIVEN_UP)
            return None
        values = {
            "attempt": row["attempt"] + 1,
            "token": uuid.uuid4().hex,
            "worker": worker,
            "not_before": now + timedelta(seconds=lease_s),
        }
        connection.execute(sa.update(shadow_tasks).where(shadow_tasks.c.id == row["id"]).values(**values))
        return _claimed(dict(row) | values)

    def _mine(self, connection: Connection, token: str) -> RowMapping:
        query = self._db.held(sa.select(shadow_tasks).where(shadow_tasks.c.token == token))
        row = connection.execute(query).mappings().first()
        if row is None:
            raise LeaseLost("the silent reading is no longer this worker's")
        return row

    def _put_back(self, connection: Connection, row: RowMapping, values: Mapping[str, Any]) -> None:
        this = shadow_tasks.c.id == row["id"]
        connection.execute(sa.update(shadow_tasks).where(this).values(token=None, worker=None, **values))

    def _end(
        self,
        connection: Connection,
        row: RowMapping,
        now: datetime,
        *,
        outcome: Mapping[str, Any] | None = None,
        error_code: str | None = None,
        latency_ms: float | None = None,
    ) -> None:
        """Outcome, decision and the end of the debt in one transaction; the study is not named any more."""
        how = {"outcome": outcome, "error_code": error_code, "latency_ms": latency_ms, "at": now}
        connection.execute(sa.insert(shadow_outcomes).values(**_about(row), **how))
        told = replace(DecisionRow(**row["decision"]), outcome=error_code or READ, latency_ms=latency_ms)
        write_decisions(self._db, connection, row["job_id"], row["study_key"], (told,), now)
        ended = {"state": DONE if error_code is None else FAILED, "ended_at": now, "error_code": error_code}
        forgotten = {"study_uid": "", "series_uids": [], "inputs": [], "delivered": {}}
        self._put_back(connection, row, ended | forgotten)


def enqueue_shadows(
    database: Database,
    connection: Connection,
    job_id: str,
    study_key: str,
    tasks: Sequence[ShadowTask],
    now: datetime,
) -> None:
    """The same within a transaction; each reading's decision says that it is due."""
    if not tasks:
        return
    rows = [_row(job_id, study_key, task, now) for task in tasks]
    connection.execute(database.insert_once(shadow_tasks, OWED_ONCE), rows)
    about = {"job_id": job_id, "study_key": study_key, "at": now}
    due = [asdict(_decision(task)) | about for task in tasks]
    connection.execute(database.insert_once(decisions, ("job_id", "role", "version")), due)


def _decision(task: ShadowTask) -> DecisionRow:
    """The study's draw, told of its silent reader."""
    told = replace(task.decision, variant=task.variant, version=task.version, role=task.role)
    return replace(told, outcome=DUE, latency_ms=None)


def _due(now: datetime, roles: Collection[str] | None) -> sa.ColumnElement[bool]:
    ranks = [rank for role, rank in RANK.items() if roles is None or role in roles]
    return (shadow_tasks.c.state == DUE) & (shadow_tasks.c.not_before <= now) & shadow_tasks.c.rank.in_(ranks)


def _row(job_id: str, study_key: str, task: ShadowTask, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "job_id": job_id,
        "app": task.app,
        "role": task.role,
        "rank": RANK[task.role],
        "model": task.model,
        "version": task.version,
        "variant": task.variant,
        "source": task.source,
        "study_uid": task.study_uid,
        "series_uids": list(task.series_uids),
        "inputs": list(task.inputs),
        "study_key": study_key,
        "decision": asdict(_decision(task)),
        "delivered": dict(task.primary),
        "created_at": now,
        "state": DUE,
        "not_before": now,
        "attempt": 0,
    }


def _claimed(row: Mapping[str, Any]) -> ClaimedShadow:
    plain = (
        "token",
        "attempt",
        "job_id",
        "study_key",
        "model",
        "version",
        "app",
        "variant",
        "role",
        "source",
    )
    return ClaimedShadow(
        **{name: row[name] for name in plain},
        study_uid=row["study_uid"],
        series_uids=tuple(row["series_uids"]),
        inputs=tuple(row["inputs"]),
        decision=DecisionRow(**row["decision"]),
        primary=row["delivered"],
    )


def _about(row: RowMapping) -> dict[str, Any]:
    same = ("job_id", "app", "role", "model", "version", "variant", "study_key", "delivered")
    return {name: row[name] for name in same} | {"identity": row["decision"]["identity"]}


def _pair(row: RowMapping) -> PairedResult:
    return PairedResult(
        job_id=row["job_id"],
        study_key=row["study_key"],
        identity=row["identity"],
        role=row["role"],
        delivered=row["delivered"],
        silent=row["outcome"],
        at=row["at"],
    )
