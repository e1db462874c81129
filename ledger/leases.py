"""Running jobs under leases. A worker that dies loses its jobs to others; a token fences all it might still say.

Time is the database's. A lease that ran out costs the job a loss and no attempt, and nothing at all while no other
worker has taken the job: its token is still good.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.explain import DecisionRow
from core.errors import WorkerLost
from core.priority import QueueOrder, QueuePlace
from core.retry import Attempts, FailureClass, RetryPolicy, after_failure, loss_pause_s
from ledger.callbacks import callback_of_failure
from ledger.database import Database
from ledger.decisions import write_decisions
from ledger.job_rows import FREE, job_of
from ledger.outbox import add_deliveries
from ledger.readings import belong
from ledger.records import ClaimedJob, Delivery, DueJob, LeaseLost
from ledger.shadow_records import ShadowTask
from ledger.shadows import enqueue_shadows
from ledger.state import JobState
from ledger.study_records import append_record
from ledger.tables import RESULT_VERSION, documents, jobs, microseconds
from observability.record import StudyTrace

UNCLAIMED_S: Final = 5.0
NOTHING: Final[Mapping[str, bytes]] = MappingProxyType({})


class Leases:
    """Claim, renew, complete, retry, fail, release. What takes a token raises LeaseLost; `renew` names the lost."""

    def __init__(self, database: Database, policy: RetryPolicy) -> None:
        self._db = database
        self._policy = policy
        self._claimable = database.locked(_CLAIMABLE)
        self._held = database.held(_HELD)

    def due(
        self, limit: int, unclaimed_s: float = UNCLAIMED_S, *, busy_sources: Collection[str] = ()
    ) -> tuple[DueJob, ...]:
        """Jobs that recovery should have run, in QueueOrder; none of a busy source.

        Retries whose time has come, studies that are stable, and jobs whose worker is lost, after a pause when it is
        not for the first time; a new job only when the worker that was called for it has not claimed it in time.
        """
        if not self._db.remembered("jobs that may come due", self._any_waits_or_runs):
            return ()
        with self._db.read() as connection:
            now = self._db.now(connection)
            times = {"now": now, "called_before": now - timedelta(seconds=unclaimed_s)}
            rows = connection.execute(_due(limit, frozenset(busy_sources)), times)
            return tuple(
                DueJob(row.id, QueuePlace(QueueOrder(row.rank, row.scheduled_at), row.source)) for row in rows
            )

    def claim(self, job_id: str, worker: str, lease_s: float) -> ClaimedJob | None:
        """Take this job if its time has come and it is in nobody's hands.

        A job whose worker was lost too often is ended instead, as `worker-lost`, and its caller is called back.
        """
        with self._db.write_unsynced() as connection:
            now = self._db.now(connection)
            row = connection.execute(self._claimable, {"this_job": job_id, "now": now}).mappings().first()
            if row is None:
                return None
            return self._take(connection, row, worker, now, lease_s)

    def renew(self, tokens: Iterable[str], lease_s: float) -> frozenset[str]:
        """Extend the leases behind `tokens`; returns the tokens that are no longer good."""
        asked = frozenset(tokens)
        running = jobs.c.token.in_(asked) & (jobs.c.state == JobState.RUNNING)
        with self._db.write_unsynced() as connection:
            until = self._db.now(connection) + timedelta(seconds=lease_s)
            pause_us = _integer(jobs.c.takeover_at) - _integer(jobs.c.lease_until)
            values = {"lease_until": until, "takeover_at": pause_us + microseconds(until)}
            connection.execute(sa.update(jobs).where(running).values(**values))
            good = connection.execute(sa.select(jobs.c.token).where(running)).scalars().all()
        return asked - frozenset(good)

    def holders(self) -> frozenset[str]:
        """The workers that have jobs in hand."""
        return self._db.remembered("holders of jobs", self._holders)

    def _holders(self) -> frozenset[str]:
        query = sa.select(jobs.c.worker).where(jobs.c.state == JobState.RUNNING).distinct()
        with self._db.read() as connection:
            return frozenset(worker for worker in connection.execute(query).scalars() if worker is not None)

    def _any_waits_or_runs(self) -> bool:
        states = (JobState.QUEUED, JobState.WAITING, JobState.RUNNING)
        with self._db.read() as connection:
            return (
                connection.execute(sa.select(jobs.c.id).where(jobs.c.state.in_(states)).limit(1)).first()
                is not None
            )

    def end_leases_of(self, worker: str) -> int:
        """The worker is gone: its leases are as if they ran out now. Returns how many there were."""
        with self._db.write() as connection:
            now = self._db.now(connection)
            held = (jobs.c.worker == worker) & (jobs.c.state == JobState.RUNNING) & (jobs.c.lease_until > now)
            pause_us = _integer(jobs.c.takeover_at) - _integer(jobs.c.lease_until)
            values = {"lease_until": now, "takeover_at": pause_us + microseconds(now)}
            return connection.execute(sa.update(jobs).where(held).values(**values)).rowcount

    def stage(self, token: str, name: str) -> None:
        """The job has come to stage `name`."""
        with self._db.write_unsynced() as connection:
            updated = connection.execute(_STAGE, {"this_token": token, "stage": name})
            if updated.rowcount != 1:
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
        decisions: Sequence[DecisionRow] = (),
        shadows: Sequence[ShadowTask] = (),
        study_key: str = "",
        reading: str | None = None,
        record: StudyTrace | None = None,
    ) -> None:
        """Write result, documents, outbox, decisions, pending shadows and record in one transaction, or nothing.

        `study_key` is the study's pseudonym. `reading` names the reading of a version that answered in place of the
        one that was drawn; the drawn one's is the job's already.
        """
        with self._db.write() as connection:
            job, now = self._mine(connection, token), self._db.now(connection)
            if reading is not None:
                belong(self._db, connection, reading, job["id"])
            _add_documents(connection, job["id"], documents_by_kind)
            add_deliveries(connection, job["id"], deliveries_to_make, now)
            write_decisions(self._db, connection, job["id"], study_key, decisions, now)
            enqueue_shadows(self._db, connection, job["id"], study_key, shadows, now)
            append_record(connection, record, now)
            ended = _with_result(result, stages_s, model, now, storing=bool(deliveries_to_make))
            _update(connection, job, ended)

    def complete_as(
        self,
        token: str,
        same_as: str,
        *,
        result: Mapping[str, Any],
        deliveries_to_make: Sequence[Delivery],
        stages_s: Mapping[str, float],
        model: str,
        is_foreign: bool = False,
    ) -> None:
        """End the job with the result of the job `same_as`, which has read the same: its documents are copied.

        `is_foreign` says that another tenant asked for that job.
        Nothing was decided and nothing is shadowed; only who asked to be called back hears of it.
        """
        with self._db.write() as connection:
            job, now = self._mine(connection, token), self._db.now(connection)
            made = (documents.c.job_id == same_as) & documents.c.kind.in_(job["outputs"])
            copied = sa.select(sa.literal(job["id"]), documents.c.kind, documents.c.content).where(made)
            connection.execute(sa.insert(documents).from_select(["job_id", "kind", "content"], copied))
            add_deliveries(connection, job["id"], deliveries_to_make, now)
            ended = _with_result(result, stages_s, model, now, storing=bool(deliveries_to_make))
            _update(connection, job, {**ended, "same_as": same_as, "same_as_foreign": is_foreign})

    def retry(
        self,
        token: str,
        code: str,
        detail: str,
        *,
        at: datetime,
        counts: bool,
        kind: FailureClass | None = None,
        decisions: Sequence[DecisionRow] = (),
        study_key: str = "",
        record: StudyTrace | None = None,
    ) -> None:
        """Queue the job again for `at`; the error stays visible meanwhile.

        `counts` says whether this was an attempt. `failing_since` begins anew when failures of another `kind` begin,
        unless none is given; one of kind worker-lost counts as a loss.
        """
        with self._db.write() as connection:
            job, now = self._mine(connection, token), self._db.now(connection)
            write_decisions(self._db, connection, job["id"], study_key, decisions, now)
            append_record(connection, record, now)
            same = job["failing_since"] is not None and kind in (None, job["failing_kind"])
            lost = kind is FailureClass.WORKER_LOST or code == WorkerLost.code
            values = {
                **FREE,
                "state": JobState.QUEUED,
                "called": False,
                "not_before": at,
                "attempt": job["attempt"] - (not counts),
                "losses": job["losses"] + lost,
                "error_code": code,
                "error_detail": detail,
                "failing_since": job["failing_since"] if same else now,
                "failing_kind": job["failing_kind"] if kind is None else kind.value,
            }
            _update(connection, job, values)

    def fail(
        self,
        token: str,
        code: str,
        detail: str,
        *,
        decisions: Sequence[DecisionRow] = (),
        shadows: Sequence[ShadowTask] = (),
        documents_by_kind: Mapping[str, bytes] = NOTHING,
        deliveries_to_make: Sequence[Delivery] = (),
        model: str | None = None,
        study_key: str = "",
        record: StudyTrace | None = None,
    ) -> None:
        """End the job with an error, with its decisions, what must be told of it, and who still reads the study.

        `model` is the one that was to read the study, None where it did not come so far.
        """
        with self._db.write() as connection:
            job, now = self._mine(connection, token), self._db.now(connection)
            append_record(connection, record, now)
            _add_documents(connection, job["id"], documents_by_kind)
            add_deliveries(connection, job["id"], deliveries_to_make, now)
            write_decisions(self._db, connection, job["id"], study_key, decisions, now)
            enqueue_shadows(self._db, connection, job["id"], study_key, shadows, now)
            named = {} if model is None else {"model": model}
            _update(connection, job, {**FREE, **_failed(code, detail, now), **named})

    def release(self, token: str) -> None:
        """Hand the job back as if it had not been begun: a worker that drains costs it no attempt."""
        with self._db.write() as connection:
            job, now = self._mine(connection, token), self._db.now(connection)
            back = {
                "state": JobState.QUEUED,
                "called": False,
                "not_before": now,
                "attempt": job["attempt"] - 1,
            }
            _update(connection, job, {**FREE, **back})

    def _take(
        self, connection: Connection, row: RowMapping, worker: str, now: datetime, lease_s: float
    ) -> ClaimedJob | None:
        lost = row["state"] == JobState.RUNNING
        if lost and self._is_given_up(row, now):
            detail = f"given up: {row['losses'] + 1} workers were lost with this study"
            ended = {"losses": row["losses"] + 1, **_failed(WorkerLost.code, detail, now)}
            _update(connection, row, {**FREE, **ended})
            callback = callback_of_failure(job_of(row), WorkerLost.code, detail)
            add_deliveries(connection, row["id"], callback, now)
            return None
        until = now + timedelta(seconds=lease_s)
        losses = row["losses"] + lost
        taken = {
            "state": JobState.RUNNING,
            "attempt": row["attempt"] + (not lost),
            "losses": losses,
            "token": uuid.uuid4().hex,
            "worker": worker,
            "lease_until": until,
            "takeover_at": until + timedelta(seconds=loss_pause_s(losses, self._policy)),
            "stage": None,
        }
        _update(connection, row, taken)
        return ClaimedJob(job_of(dict(row) | taken), str(taken["token"]))

    def _is_given_up(self, row: RowMapping, now: datetime) -> bool:
        behind = Attempts(row["attempt"] - 1, row["losses"], row["failing_since"])
        return after_failure(FailureClass.WORKER_LOST, behind, now, self._policy).at is None

    def _mine(self, connection: Connection, token: str) -> RowMapping:
        row = connection.execute(self._held, {"this_token": token}).mappings().first()
        if row is None:
            raise LeaseLost("the job is no longer this worker's")
        return row


def _running(token: str | sa.BindParameter[str]) -> sa.ColumnElement[bool]:
    return (jobs.c.token == token) & (jobs.c.state == JobState.RUNNING)


def _may_begin(now: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """New and retried jobs whose time has come, and running ones whose worker is lost."""
    fresh = jobs.c.state.in_((JobState.QUEUED, JobState.WAITING)) & (jobs.c.not_before <= now)
    lapsed = (jobs.c.state == JobState.RUNNING) & (jobs.c.takeover_at <= now)
    return sa.or_(fresh, lapsed)


@lru_cache(64)
def _due(limit: int, busy_sources: frozenset[str]) -> sa.Select[Any]:
    """At most `limit` jobs that should run at `now`; new ones if their worker was `called_before`."""
    now, called_before = (sa.bindparam(name, type_=_TIME) for name in ("now", "called_before"))
    states = {
        JobState.QUEUED: (jobs.c.not_before <= now) & (~jobs.c.called | (jobs.c.not_before <= called_before)),
        JobState.WAITING: jobs.c.not_before <= now,
        JobState.RUNNING: jobs.c.takeover_at <= now,
    }
    open_source = jobs.c.source.not_in(sorted(busy_sources)) if busy_sources else sa.true()
    firsts = [_first((jobs.c.state == state) & ripe & open_source, limit) for state, ripe in states.items()]
    first = sa.union_all(*firsts).subquery()
    return sa.select(first).order_by(first.c.rank, first.c.scheduled_at).limit(limit)


def _first(condition: sa.ColumnElement[bool], limit: int) -> sa.Select[Any]:
    """The first `limit` jobs of one state, in the order of the index `jobs_to_claim`."""
    columns = (jobs.c.id, jobs.c.rank, jobs.c.scheduled_at, jobs.c.source)
    ordered = sa.select(*columns).where(condition).order_by(jobs.c.rank, jobs.c.scheduled_at).limit(limit)
    return sa.select(ordered.subquery())


def _add_documents(connection: Connection, job_id: str, by_kind: Mapping[str, bytes]) -> None:
    for kind, content in by_kind.items():
        connection.execute(sa.insert(documents).values(job_id=job_id, kind=kind, content=content))


def _update(connection: Connection, row: RowMapping, values: Mapping[str, Any]) -> None:
    connection.execute(_UPDATE, {**values, "this_job": row["id"]})


# made once: making a statement costs as much as executing it
_TIME: Final = jobs.c.not_before.type
_CLAIMABLE: Final = sa.select(jobs).where(
    (jobs.c.id == sa.bindparam("this_job")) & _may_begin(sa.bindparam("now", type_=_TIME))
)
_HELD: Final = sa.select(
    jobs.c.id, jobs.c.outputs, jobs.c.attempt, jobs.c.losses, jobs.c.failing_since, jobs.c.failing_kind
).where(_running(sa.bindparam("this_token")))
_UPDATE: Final = sa.update(jobs).where(jobs.c.id == sa.bindparam("this_job"))
_STAGE: Final = sa.update(jobs).where(_running(sa.bindparam("this_token")))


def _with_result(
    result: Mapping[str, Any], stages_s: Mapping[str, float], model: str, now: datetime, *, storing: bool
) -> dict[str, Any]:
    return {
        **FREE,
        "state": JobState.STORING if storing else JobState.COMPLETED,
        "stage": "store" if storing else None,
        "finished_at": None if storing else now,
        "result": dict(result),
        "result_version": RESULT_VERSION,
        "stages_s": dict(stages_s),
        "model": model,
        "error_code": None,
        "error_detail": None,
        "failing_since": None,
        "failing_kind": None,
    }


def _failed(code: str, detail: str, now: datetime) -> dict[str, Any]:
    return {"state": JobState.FAILED, "finished_at": now, "error_code": code, "error_detail": detail}


def _integer(column: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    return sa.type_coerce(column, sa.BigInteger)
