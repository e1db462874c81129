"""Submitting, showing and cancelling jobs. Accepted means written."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.errors import (
    IdempotencyConflict,
    JobNotCancelable,
    JobNotFound,
    ResultNotReady,
    UnknownResultVersion,
)
from core.priority import Priority, queue_order
from core.study import StudyRef
from ledger.callbacks import callback_of_cancel
from ledger.database import Database
from ledger.job_queries import FORMER_REPORTS, JOB, NOT_BEGUN, cursor_of, older_than
from ledger.job_rows import FREE, fingerprint_of, job_of, request_of
from ledger.limits import require_fits
from ledger.outbox import add_deliveries
from ledger.records import FAILURE_SR, SR, FormerReports, Job, JobRequest, Submitted, WaitingJobs
from ledger.state import FINISHED, HAS_RESULT, OPEN, JobState, may_move
from ledger.tables import (
    ENDED,
    RESULT_VERSION,
    deliveries,
    documents,
    idempotency,
    jobs,
    unindexed,
)

DAY = timedelta(days=1)
NO_TIME = timedelta(0)
ENDED_WITHOUT_RESULT = (JobState.FAILED, JobState.CANCELED)
NO_VALUES: dict[str, Any] = dict.fromkeys(jobs.c.keys())


class Jobs:
    """Everything about jobs but running them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def submit(
        self,
        request: JobRequest,
        *,
        idempotency_key: str | None,
        tenant: str,
        join: bool = False,
        durable: bool = True,
    ) -> Submitted:
        """Write a new job, or find the one that the same key and body made.

        With `join` a job that the same caller asked for in the same words, and that nobody has begun, is this one.
        Unless `durable`, a power cut may take the job back until `secure` has returned or the job has ended: until
        then its caller must not be told that it is accepted. Raises IdempotencyConflict, or InvalidField: too long.
        """
        require_fits(idempotency, {"tenant": tenant, "key": idempotency_key})
        with self._db.write() if durable else self._db.write_unsynced() as connection:
            submitted = self._submitted(connection, request, idempotency_key, tenant, join)
            if submitted.replayed and durable:
                _touch(connection, submitted.job.id)  # whoever made it may not have waited for the disk
            return submitted

    def secure(self, job_id: str) -> None:
        """Return when the disk has the job as it stands; nothing of it changes."""
        with self._db.write() as connection:
            _touch(connection, job_id)

    def replay(self, request: JobRequest, idempotency_key: str, *, tenant: str) -> Submitted | None:
        """The job that the same key and body have made, None if there is none. Raises IdempotencyConflict."""
        require_fits(idempotency, {"tenant": tenant, "key": idempotency_key})
        with self._db.read() as connection:
            return self._before(connection, request, idempotency_key, tenant)

    def submit_object(
        self,
        study: StudyRef,
        uri: str,
        *,
        model: str,
        priority: Priority,
        inference_type: str,
        tenant: str,
        stable_age_s: float,
    ) -> Submitted:
        """Take one object of a study: all that arrive before the study is stable share one job.

        An object that comes again changes nothing, unless its last job failed or was cancelled: then all objects so
        far are read again. One that comes later makes a follow-up job of all so far.
        """
        request = JobRequest(study, model, priority, inference_type=inference_type)
        with self._db.write() as connection:
            last = self._last_of_study(connection, request, tenant)
            stable_at = self._db.now(connection) + timedelta(seconds=stable_age_s)
            if last is not None and uri in last["inputs"] and last["state"] not in ENDED_WITHOUT_RESULT:
                return Submitted(job_of(last), True)
            if last is not None and last["state"] == JobState.WAITING:
                return Submitted(self._add(connection, last, uri, stable_at), False)
            inputs = tuple(dict.fromkeys([*(last["inputs"] if last else ()), uri]))
            whole = replace(request, study=replace(study, inputs=inputs))
            follow_up = last["follow_up"] + 1 if last else 0
            return Submitted(self._insert(connection, whole, tenant, stable_at, follow_up), False)

    def complete_study(self, study_uid: str, tenant: str) -> tuple[Job, ...]:
        """The study is complete: its waiting jobs, which are returned, may run at once."""
        waiting = (
            (jobs.c.study_uid == study_uid) & (jobs.c.tenant == tenant) & (jobs.c.state == JobState.WAITING)
        )
        with self._db.write() as connection:
            rows = connection.execute(self._db.held(sa.select(jobs).where(waiting))).mappings().all()
            now, released = self._db.now(connection), jobs.c.id.in_([row["id"] for row in rows])
            connection.execute(sa.update(jobs).where(released).values(not_before=now))
        return tuple(job_of(row) for row in rows)

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with self._db.read() as connection:
            return self._job(connection, job_id)

    def list_jobs(
        self,
        *,
        tenant: str | None = None,
        study_uid: str | None = None,
        state: JobState | None = None,
        model: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[tuple[Job, ...], str | None]:
        """Newest first, and the cursor of the next page if there may be one."""
        query = sa.select(jobs).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        for column, asked in ((jobs.c.study_uid, study_uid), (jobs.c.state, state), (jobs.c.model, model)):
            query = query if asked is None else query.where(column == asked)
        if tenant is not None:
            # a study has few jobs, a tenant very many: SQLite would go by the tenant's index, which is in order
            mine = jobs.c.tenant if study_uid is None else unindexed(jobs.c.tenant)
            query = query.where(mine == tenant)
        query = query.where(ENDED) if state in FINISHED else query  # or the index of ended jobs is not used
        query = query if since is None else query.where(jobs.c.created_at >= since)
        query = query if cursor is None else query.where(older_than(cursor))
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
            undelivered = self._undelivered(connection, [row["id"] for row in rows])
            page = tuple(job_of(row, undelivered.get(row["id"], ())) for row in rows)
        return page, cursor_of(rows[-1]) if len(rows) == limit else None

    def cancel(self, job_id: str) -> Job:
        """End the job, and have its caller called back. Its worker, if it has one, finds out by its token.

        Raises JobNotFound, or JobNotCancelable when it has finished or its result is being stored.
        """
        with self._db.write() as connection:
            row = self._row(connection, job_id, hold=True)
            if not may_move(JobState(row["state"]), JobState.CANCELED):
                raise JobNotCancelable("the job has finished or its result is being stored")
            now = self._db.now(connection)
            ended = {**FREE, "state": JobState.CANCELED, "finished_at": now}
            connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**ended))
            add_deliveries(connection, job_id, callback_of_cancel(job_of(row)), now)
            return self._job(connection, job_id)

    def result(self, job_id: str) -> Mapping[str, Any]:
        """What was completed with. Raises JobNotFound, ResultNotReady or UnknownResultVersion."""
        with self._db.read() as connection:
            row = self._row(connection, job_id)
        if row["state"] not in HAS_RESULT:
            raise ResultNotReady("the job has no result yet")
        if row["result_version"] != RESULT_VERSION:
            raise UnknownResultVersion(
                f"the result is of version {row['result_version']}, not {RESULT_VERSION}"
            )
        result: Mapping[str, Any] = row["result"]
        return result

    def document(self, job_id: str, kind: str) -> bytes:
        """A DICOM object of the job. Raises JobNotFound or ResultNotReady."""
        query = sa.select(documents.c.content).where(
            (documents.c.job_id == job_id) & (documents.c.kind == kind)
        )
        with self._db.read() as connection:
            self._row(connection, job_id)
            content = connection.execute(query).scalar()
        if content is None:
            raise ResultNotReady("the job has no such document")
        return bytes(content)

    def former_reports(self, study_uid: str, model: str, before: datetime) -> FormerReports:
        """What the model's jobs for the study have reported that were accepted before `before`."""
        asked = {"this_study": study_uid, "this_model": model, "before": before}
        with self._db.read() as connection:
            rows = connection.execute(FORMER_REPORTS, asked).mappings().all()
        newest = max(rows, key=lambda row: row["created_at"], default=None)
        content = {row["kind"]: bytes(row["content"]) for row in rows if row["kind"] == SR or row is newest}
        return FormerReports(content.get(SR), content.get(FAILURE_SR))

    def counts(self, within: timedelta = DAY) -> dict[str, int]:
        """Open jobs by state, and those that have ended in the time until now; not whatever was read before."""
        by_state = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
        with self._db.read() as connection:
            ended = jobs.c.state.in_(sorted(FINISHED)) & (
                jobs.c.finished_at > self._db.now(connection) - within
            )
            query = sa.union_all(by_state.where(jobs.c.state.in_(sorted(OPEN))), by_state.where(ended))
            numbers = {str(state): int(number) for state, number in connection.execute(query)}
        return {state.value: numbers.get(state.value, 0) for state in JobState}

    def waiting(self) -> dict[Priority, WaitingJobs]:
        """The jobs that could run if a worker had room, by priority; those whose study is still arriving cannot."""
        query = sa.select(jobs.c.priority, sa.func.count(), sa.func.min(jobs.c.created_at))
        with self._db.read() as connection:
            now = self._db.now(connection)
            arrived = (jobs.c.state == JobState.WAITING) & (jobs.c.not_before <= now)
            could_run = (jobs.c.state == JobState.QUEUED) | arrived
            rows = connection.execute(query.where(could_run).group_by(jobs.c.priority)).all()
        found = {
            Priority(name): WaitingJobs(number, max(now - oldest, NO_TIME)) for name, number, oldest in rows
        }
        return {priority: found.get(priority, WaitingJobs(0, NO_TIME)) for priority in Priority}

    def any_running(self) -> bool:
        """Whether a job is in somebody's hands now, in this process or another."""
        last = self._db.remembered("end of the last lease", self._last_lease)
        if last is None:
            return False
        with self._db.read() as connection:
            return last > self._db.now(connection)

    def _last_lease(self) -> datetime | None:
        last = sa.select(sa.func.max(jobs.c.lease_until)).where(jobs.c.state == JobState.RUNNING)
        with self._db.read() as connection:
            until: datetime | None = connection.execute(last).scalar()
            return until

    def open_jobs(self) -> int:
        """How many jobs have not finished."""
        query = sa.select(sa.func.count()).where(jobs.c.state.in_(sorted(OPEN)))
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _submitted(
        self, connection: Connection, request: JobRequest, key: str | None, tenant: str, join: bool
    ) -> Submitted:
        if key is None:
            return self._joined(connection, request, tenant, join)
        self._db.serialise(connection, f"{tenant}/{key}")
        before = self._before(connection, request, key, tenant)
        if before is not None:
            return before
        submitted = self._joined(connection, request, tenant, join)
        fingerprint = fingerprint_of(request)
        row = {"tenant": tenant, "key": key, "fingerprint": fingerprint, "job_id": submitted.job.id}
        connection.execute(sa.insert(idempotency).values(**row))
        return submitted

    def _joined(self, connection: Connection, request: JobRequest, tenant: str, join: bool) -> Submitted:
        """The open job of the same request, which will fetch the study after this call; else a new one."""
        if join:
            self._db.serialise(connection, f"{tenant}/{request.study.study_uid}")
            fresh = {"this_study": request.study.study_uid, "this_tenant": tenant}
            rows = connection.execute(NOT_BEGUN, fresh).mappings()
            same = next(
                (row for row in rows if fingerprint_of(request_of(row)) == fingerprint_of(request)), None
            )
            if same is not None:
                return Submitted(self._hurried(connection, same, request), True)
        return Submitted(self._insert(connection, request, tenant), False)

    def _hurried(self, connection: Connection, row: RowMapping, request: JobRequest) -> Job:
        """The job of a row, with the deadline of the first of its callers who has one."""
        deadline = request.deadline(self._db.now(connection))
        if row["deadline"] is not None or deadline is None:
            return job_of(row)
        connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(deadline=deadline))
        return job_of(dict(row) | {"deadline": deadline})

    def _before(self, connection: Connection, request: JobRequest, key: str, tenant: str) -> Submitted | None:
        mine = (idempotency.c.tenant == tenant) & (idempotency.c.key == key)
        before = connection.execute(sa.select(idempotency).where(mine)).mappings().first()
        if before is None:
            return None
        if before["fingerprint"] != fingerprint_of(request):
            raise IdempotencyConflict("this Idempotency-Key was used for another request")
        return Submitted(self._job(connection, before["job_id"]), True)

    def _insert(
        self,
        connection: Connection,
        request: JobRequest,
        tenant: str,
        stable_at: datetime | None = None,
        follow_up: int = 0,
    ) -> Job:
        """A job that waits until `stable_at`, or one that a worker is called for at once."""
        now = self._db.now(connection)
        order = queue_order(request.ranks_as, now)
        row = {
            "id": uuid.uuid4().hex,
            "tenant": tenant,
            "state": JobState.WAITING if stable_at else JobState.QUEUED,
            "priority": request.ranks_as,
            "asked_priority": request.priority,
            "priority_rule": None if request.ranked is None else request.ranked.rule,
            "deadline_s": request.deadline_s,
            "deadline": request.deadline(now),
            "traceparent": request.traceparent,
            "source": request.study.source,
            "study_uid": request.study.study_uid,
            "series_uids": list(request.study.series_uids),
            "inputs": list(request.study.inputs),
            "by_object": stable_at is not None,
            "follow_up": follow_up,
            "model": request.model,
            "requested_model": request.model,
            "tester_variant": request.tester_variant,
            "inference_type": request.inference_type,
            "outputs": list(request.outputs),
            "callback": request.callback,
            "context": dict(request.context),
            "force": request.force,
            "created_at": now,
            "not_before": stable_at or now,
            "called": stable_at is None,
            "rank": order.rank,
            "scheduled_at": order.scheduled_at,
            "attempt": 0,
            "losses": 0,
            "stages_s": {},
        }
        require_fits(jobs, row)
        connection.execute(sa.insert(jobs), row)
        return job_of(NO_VALUES | row)

    def _add(self, connection: Connection, row: RowMapping, uri: str, stable_at: datetime) -> Job:
        values = {"inputs": [*row["inputs"], uri], "not_before": stable_at}
        connection.execute(sa.update(jobs).where(jobs.c.id == row["id"]).values(**values))
        return self._job(connection, row["id"])

    def _last_of_study(self, connection: Connection, request: JobRequest, tenant: str) -> RowMapping | None:
        """The study's latest job, held until the transaction ends, so that no worker claims it meanwhile."""
        self._db.serialise(connection, f"{tenant}/{request.study.study_uid}")
        same = (
            (jobs.c.tenant == tenant)
            & (jobs.c.study_uid == request.study.study_uid)
            & (jobs.c.source == request.study.source)
            & (jobs.c.requested_model == request.model)
            & (jobs.c.by_object)
        )
        query = self._db.held(sa.select(jobs).where(same).order_by(jobs.c.follow_up.desc()).limit(1))
        return connection.execute(query).mappings().first()

    def _row(self, connection: Connection, job_id: str, hold: bool = False) -> RowMapping:
        query = self._db.held(JOB) if hold else JOB
        row = connection.execute(query, {"this_job": job_id}).mappings().first()
        if row is None:
            raise JobNotFound("no such job")
        return row

    def _job(self, connection: Connection, job_id: str) -> Job:
        row = self._row(connection, job_id)
        return job_of(row, self._undelivered(connection, [job_id]).get(job_id, ()))

    def _undelivered(self, connection: Connection, job_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """What was given up of the jobs' deliveries, in words; jobs without are left out."""
        columns = [deliveries.c[name] for name in ("job_id", "kind", "document", "error_code")]
        dead = deliveries.c.job_id.in_(job_ids) & (unindexed(deliveries.c.state) == "dead")
        found: dict[str, tuple[str, ...]] = {}
        for job_id, kind, document, code in connection.execute(sa.select(*columns).where(dead)):
            found[job_id] = (*found.get(job_id, ()), f"{kind} of {document or 'result'}: {code}")
        return found


def _touch(connection: Connection, job_id: str) -> None:
    """Write the row as it is: a transaction that writes nothing waits for no disk."""
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(id=jobs.c.id))
