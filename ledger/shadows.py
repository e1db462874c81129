"""Shadow tasks: what versions read for evidence only. Late, but never lost; what they say has a store of its own.

due ──► in hand ──► done | failed        a lease that runs out makes it due again at once, and costs a loss
 ▲         │
 └─────────┘  released for a live study, or to be tried again
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.explain import FOREIGN_INPUT, DecisionRow
from core.codec import from_plain, to_plain
from core.errors import WorkerLost
from core.retry import RetryPolicy
from core.study import StudyRef
from ledger.audit import Audit
from ledger.database import Database
from ledger.decisions import decision_values, keep_tables, write_decisions
from ledger.records import LeaseLost
from ledger.shadow_records import LIVE, RANK, ClaimedShadow, PairedResult, ShadowResult, ShadowTask
from ledger.study_records import append_record
from ledger.tables import decisions, shadow_outcomes, shadow_tasks
from ledger.waiting_work import WaitingWork
from observability.record import StudyTrace

DUE, DONE, FAILED = "due", "done", "failed"
READ: Final = "read"
DISCARDED: Final = "discarded"
BATCH_SIZE: Final = 200  # a transaction of many rows would keep callers waiting
SPARE: Final = 8  # more candidates than are asked for, since others may take some first
ONCE: Final = ("job_id", "app", "role")
SAME: Final = ("job_id", "app", "role", "model", "version", "variant", "study_key", "batch")


class ShadowTasks:
    """Claim what is due, say how it went. A released task was not an attempt, nor was one whose worker was lost."""

    def __init__(
        self, database: Database, audit: Audit, policy: RetryPolicy, waiting: WaitingWork | None = None
    ) -> None:
        self._db = database
        self._audit = audit
        self._policy = policy
        self._waiting = waiting or WaitingWork(database)

    def enqueue(self, job_id: str, tasks: Sequence[ShadowTask], study_key: str = "") -> None:
        """Write the tasks, each once per job, application and role. `Leases.complete` does it by itself."""
        with self._db.write() as connection:
            enqueue_shadows(self._db, connection, job_id, study_key, tasks, self._db.now(connection))

    def claim(
        self,
        worker: str,
        lease_s: float,
        limit: int,
        apps: Collection[str] | None = None,
        roles: Collection[str] | None = None,
        min_age_s: float = 0.0,
    ) -> tuple[ClaimedShadow, ...]:
        """Take up to `limit` tasks, the safety net's first, then the oldest; only of `apps` and `roles`, and none
        that waits for a budget.

        With `min_age_s` none that is younger: they are left to others, or wait for live studies to end.
        Two queries find out that nothing is due, however many applications there are and whatever lies there for
        others.
        """
        candidates = self._candidates(limit + SPARE, apps, roles, min_age_s)
        if not candidates:
            return ()
        with self._db.write_unsynced() as connection:
            now = self._db.now(connection)
            free = sa.select(shadow_tasks).where(shadow_tasks.c.id.in_(candidates) & _due(now))
            first = free.order_by(shadow_tasks.c.rank, shadow_tasks.c.created_at).limit(limit)
            rows = connection.execute(self._db.locked(first)).mappings().all()
            taken = [self._take(connection, row, worker, now, lease_s) for row in rows]
        return tuple(task for task in taken if task is not None)

    def renew(self, tokens: Collection[str], lease_s: float) -> frozenset[str]:
        """Extend the leases behind `tokens`; returns the tokens that are no longer good."""
        in_hand = shadow_tasks.c.token.in_(tokens)
        with self._db.write_unsynced() as connection:
            until = self._db.now(connection) + timedelta(seconds=lease_s)
            connection.execute(sa.update(shadow_tasks).where(in_hand).values(lease_until=until))
            good = connection.execute(sa.select(shadow_tasks.c.token).where(in_hand)).scalars().all()
        return frozenset(tokens) - frozenset(good)

    def done(
        self, token: str, outcome: Mapping[str, Any], latency_ms: float, record: StudyTrace | None = None
    ) -> None:
        """The study was read. Raises LeaseLost, and then nothing was written."""
        with self._db.write() as connection:
            row = self._mine(connection, token)
            append_record(connection, record, self._db.now(connection))
            self._end(connection, row, outcome=dict(outcome), latency_ms=latency_ms)

    def failed(
        self,
        token: str,
        code: str,
        retry_at: datetime | None,
        *,
        counts: bool = True,
        record: StudyTrace | None = None,
    ) -> None:
        """Try again at `retry_at`, or keep the error as how it ended. Raises LeaseLost.

        `counts` says whether this was an attempt.
        """
        with self._db.write() as connection:
            row = self._mine(connection, token)
            append_record(connection, record, self._db.now(connection))
            if retry_at is None:
                self._end(connection, row, error_code=code)
                return
            attempt = row["attempt"] - (not counts)
            _put_back(connection, row, {"not_before": retry_at, "error_code": code, "attempt": attempt})

    def release(self, token: str) -> None:
        """A live study needs the machine: the task is due at once for whoever has room. Raises LeaseLost."""
        with self._db.write() as connection:
            row = self._mine(connection, token)
            _put_back(connection, row, {"not_before": row["created_at"], "attempt": row["attempt"] - 1})

    def discard(self, model: str, version: str, *, actor: str, reason: str) -> int:
        """A person gives up what a version still has to read, as when it will never run again; returns the number.

        Each is kept as a failure. Nothing else ends a task without a prediction or its error.
        """
        of_version = (shadow_tasks.c.model == model) & (shadow_tasks.c.version == version)
        return self._discard(of_version, model, {"version": version, "reason": reason}, actor)

    def discard_batch(self, batch: str, model: str, *, actor: str, reason: str) -> int:
        """Give up, likewise, what a batch still has to read."""
        of_batch = shadow_tasks.c.batch == batch
        return self._discard(of_batch, model, {"batch": batch, "reason": reason}, actor)

    def _discard(
        self, which: sa.ColumnElement[bool], model: str, about: Mapping[str, Any], actor: str
    ) -> int:
        query = self._db.held(sa.select(shadow_tasks).where(which & (shadow_tasks.c.state == DUE)))
        total, some = 0, BATCH_SIZE
        while some == BATCH_SIZE:
            with self._db.write() as connection:
                rows = connection.execute(query.limit(BATCH_SIZE)).mappings().all()
                for row in rows:
                    self._end(connection, row, error_code=DISCARDED)
                if rows:
                    detail = {**about, "tasks": len(rows)}
                    self._audit.append_within(connection, actor, "discard-shadows", model, detail)
            some = len(rows)
            total += some
        return total

    def backlog(self, model: str | None = None) -> Mapping[tuple[str, str], int]:
        """Pending tasks, those in hand among them, by (model, version)."""
        pending = shadow_tasks.c.state == DUE
        query = (
            sa.select(shadow_tasks.c.model, shadow_tasks.c.version, sa.func.count())
            .where(pending if model is None else pending & (shadow_tasks.c.model == model))
            .group_by(shadow_tasks.c.model, shadow_tasks.c.version)
        )
        with self._db.read() as connection:
            return {(name, version): number for name, version, number in connection.execute(query)}

    def oldest_pending(self, role: str | None = None) -> timedelta | None:
        """The age of the oldest pending task, of one role or of any study of now; None when nothing is pending."""
        oldest = self._db.remembered(f"oldest pending shadow, {role}", lambda: self._oldest_pending(role))
        if oldest is None:
            return None
        with self._db.read() as connection:
            return self._db.now(connection) - oldest

    def _oldest_pending(self, role: str | None) -> datetime | None:
        pending = shadow_tasks.c.state == DUE
        chosen = pending & shadow_tasks.c.role.in_(LIVE if role is None else (role,))
        with self._db.read() as connection:
            query = sa.select(sa.func.min(shadow_tasks.c.created_at)).where(chosen)
            oldest: datetime | None = connection.execute(query).scalar()
            return oldest

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
        """Studies that the version read as a shadow, beside what was delivered of them; oldest first."""
        of_version = (shadow_outcomes.c.model == model) & (shadow_outcomes.c.version == version)
        query = (
            sa.select(shadow_outcomes)
            .where(of_version & shadow_outcomes.c.error_code.is_(None))
            .order_by(shadow_outcomes.c.at, shadow_outcomes.c.job_id)
        )
        with self._db.read() as connection:
            return tuple(_pair(row) for row in connection.execute(query).mappings())

    def _candidates(
        self, limit: int, apps: Collection[str] | None, roles: Collection[str] | None, min_age_s: float
    ) -> list[str]:
        """What is due and may be taken, by reading only, since it is mostly nothing."""
        pending = self._db.remembered("applications of pending shadows", self._pending_apps)
        ready = [app for app in pending if apps is None or app in apps]
        if not ready:
            return []
        wanted = tuple(role for role in RANK if roles is None or role in roles)
        held = {(one.app, one.role) for one in self._waiting.all()}
        with self._db.read() as connection:
            now = self._db.now(connection)
            due = _due(now) & (shadow_tasks.c.created_at <= now - timedelta(seconds=min_age_s))
            first = sa.union_all(
                *(_first(due & _ranks_of(app, wanted, held), limit) for app in ready)
            ).subquery()
            query = sa.select(first.c.id).order_by(first.c.rank, first.c.created_at).limit(limit)
            return list(connection.execute(query).scalars())

    def _pending_apps(self) -> tuple[str, ...]:
        with self._db.read() as connection:
            return tuple(app for app in connection.execute(_PENDING_APPS).scalars() if app is not None)

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedShadow | None:
        lost = row["lease_until"] is not None
        losses = row["losses"] + lost
        if losses >= self._policy.worker_losses:
            self._end(connection, row, error_code=WorkerLost.code)
            return None
        values = {
            "attempt": row["attempt"] + (not lost),
            "losses": losses,
            "token": uuid.uuid4().hex,
            "worker": worker,
            "lease_until": now + timedelta(seconds=lease_s),
            "first_tried_at": row["first_tried_at"] or now,
        }
        connection.execute(sa.update(shadow_tasks).where(shadow_tasks.c.id == row["id"]).values(**values))
        return _claimed(dict(row) | values)

    def _mine(self, connection: Connection, token: str) -> RowMapping:
        query = self._db.held(sa.select(shadow_tasks).where(shadow_tasks.c.token == token))
        row = connection.execute(query).mappings().first()
        if row is None:
            raise LeaseLost("the shadow task is no longer this worker's")
        return row

    def _end(
        self,
        connection: Connection,
        row: RowMapping,
        *,
        outcome: Mapping[str, Any] | None = None,
        error_code: str | None = None,
        latency_ms: float | None = None,
    ) -> None:
        """Outcome, decision and the end of the task in one transaction; the study is not named any more."""
        now, decision = self._db.now(connection), from_plain(DecisionRow, row["decision"])
        same = {name: row[name] for name in SAME}
        about = {**same, "delivered": row["delivered"], "identity": decision.identity}
        ending = {"outcome": outcome, "error_code": error_code, "latency_ms": latency_ms, "at": now}
        connection.execute(sa.insert(shadow_outcomes).values(**about, **ending))
        ended = replace(
            decision,
            outcome=error_code or READ,
            latency_ms=latency_ms,
            counts=error_code
            != FOREIGN_INPUT,  # a version that does not know such a study is right to say so
        )
        write_decisions(self._db, connection, row["job_id"], row["study_key"], (ended,), now)
        state = {"state": DONE if error_code is None else FAILED, "ended_at": now, "error_code": error_code}
        forgotten: dict[str, Any] = {
            "study_uid": "",
            "series_uids": [],
            "inputs": [],
            "delivered": {},
            "rule": {},
            "mask": None,
        }
        _put_back(connection, row, state | forgotten)


def enqueue_shadows(
    database: Database,
    connection: Connection,
    job_id: str,
    study_key: str,
    tasks: Sequence[ShadowTask],
    now: datetime,
) -> None:
    """Write shadow tasks within a transaction; each one's decision says that it is due."""
    if not tasks:
        return
    rows = [_row(job_id, study_key, task, now) for task in tasks]
    connection.execute(database.insert_once(shadow_tasks, ONCE), rows)
    about = {"job_id": job_id, "study_key": study_key, "at": now}
    due = [decision_values(_decision(task), now) | about for task in tasks]
    connection.execute(database.insert_once(decisions, ("job_id", "role", "version")), due)
    keep_tables(database, connection, [task.decision for task in tasks], now)


def _pending_apps() -> sa.Select[Any]:
    """The applications with a pending task, each by one step in the index, however long its backlog is."""
    pending = shadow_tasks.c.state == DUE
    steps = (
        sa.select(sa.func.min(shadow_tasks.c.app).label("app")).where(pending).cte("steps", recursive=True)
    )
    after = sa.select(sa.func.min(shadow_tasks.c.app)).where(pending & (shadow_tasks.c.app > steps.c.app))
    following = sa.select(after.scalar_subquery()).where(steps.c.app.is_not(None))
    return sa.select(steps.union_all(following).c.app)


_PENDING_APPS: Final = _pending_apps()


def _first(condition: sa.ColumnElement[bool], limit: int) -> sa.Select[Any]:
    """The first tasks of one application, in the order of the index `shadow_tasks_to_claim`."""
    columns = (shadow_tasks.c.id, shadow_tasks.c.rank, shadow_tasks.c.created_at)
    ordered = sa.select(*columns).where(condition).order_by(shadow_tasks.c.rank, shadow_tasks.c.created_at)
    return sa.select(ordered.limit(limit).subquery())


def _ranks_of(app: str, roles: Sequence[str], held: Collection[tuple[str, str]]) -> sa.ColumnElement[bool]:
    """The application's tasks of the roles that may go on."""
    ranks = [RANK[role] for role in roles if (app, role) not in held]
    return (shadow_tasks.c.app == app) & shadow_tasks.c.rank.in_(ranks)


def _due(now: datetime) -> sa.ColumnElement[bool]:
    free = shadow_tasks.c.lease_until.is_(None) | (shadow_tasks.c.lease_until <= now)
    return (shadow_tasks.c.state == DUE) & (shadow_tasks.c.not_before <= now) & free


def _put_back(connection: Connection, row: RowMapping, values: Mapping[str, Any]) -> None:
    free = {"token": None, "worker": None, "lease_until": None}
    this = shadow_tasks.c.id == row["id"]
    connection.execute(sa.update(shadow_tasks).where(this).values(**free, **values))


def _decision(task: ShadowTask) -> DecisionRow:
    """The study's draw, as the row of its shadow."""
    own = replace(task.decision, variant=task.variant, version=task.version, role=task.role)
    return replace(own, outcome=DUE, latency_ms=None)


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
        "source": task.study.source,
        "study_uid": task.study.study_uid,
        "series_uids": list(task.study.series_uids),
        "inputs": list(task.study.inputs),
        "rule": dict(task.rule),
        "study_key": study_key,
        "decision": to_plain(replace(_decision(task), table="")),  # its digest names it
        "delivered": dict(task.delivered),
        "mask": task.mask,
        "created_at": now,
        "state": DUE,
        "not_before": now,
        "attempt": 0,
        "losses": 0,
        "batch": task.batch,
    }


def _claimed(row: Mapping[str, Any]) -> ClaimedShadow:
    plain = set(ClaimedShadow.__dataclass_fields__) - {"study", "decision"}
    return ClaimedShadow(
        **{name: row[name] for name in plain},
        study=StudyRef(row["source"], row["study_uid"], tuple(row["series_uids"]), tuple(row["inputs"])),
        decision=from_plain(DecisionRow, row["decision"]),
    )


def _pair(row: RowMapping) -> PairedResult:
    names = set(PairedResult.__dataclass_fields__) - {"shadow"}
    return PairedResult(**{name: row[name] for name in names}, shadow=row["outcome"])
