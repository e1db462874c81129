"""What is no longer needed is not kept: a finished job names a study, and its documents hold one.

Three classes, each kept for a time of its own: documents; jobs, with all that names a study, and the notes of truths,
which may; evidence, with truths, rollouts and recalls, which judges a version by pseudonyms only. The events of costs
go when their hours are sealed (`ledger/costs.py`). What is open or
still to be delivered stays, however old it is, and so does the audit. The last rollout of each version stays, too:
what failed has no weight until a person retries it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from ledger.audit import Audit
from ledger.costs import sealed_events
from ledger.database import Database
from ledger.outbox import NO_JOB
from ledger.pairing import note_purge
from ledger.state import FINISHED, OPEN, JobState
from ledger.tables import (
    cost_events,
    decisions,
    deliveries,
    documents,
    drift_answers,
    escalations,
    exposures,
    idempotency,
    jobs,
    paired_readings,
    paired_studies,
    readings,
    recall_items,
    recall_notes,
    recalls,
    replays,
    rollout_approvals,
    rollout_events,
    rollout_evidence,
    rollouts,
    shadow_outcomes,
    shadow_tasks,
    study_marks,
    study_records,
    truth_notes,
    truths,
    unindexed,
)

BATCH_SIZE = 500  # a transaction of many rows would keep callers waiting
PURGED = "purge"
DUE = "due"  # of a delivery, and of a shadow
OF_EVIDENCE = (truths, paired_readings, paired_studies)  # whoever took these has to take them anew


@dataclass(frozen=True, slots=True)
class KeptFor:
    """How long each class is kept after its job has ended, or it was written; None: for ever."""

    documents: timedelta | None
    jobs: timedelta | None
    evidence: timedelta | None


class StudyUse(StrEnum):
    """What a study in the inbox still waits for."""

    IN_USE = "in-use"  # an open job, a delivery or a shadow to come
    READ = "read"
    FAILED = "failed"  # its last job failed or was cancelled, and somebody may want to try again
    UNKNOWN = "unknown"  # no job of it is kept


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some of a class: the keys of what is old, and what is deleted by the first of them."""

    name: str
    keys: tuple[sa.Column[Any], ...]
    old: sa.Select[Any]
    with_them: tuple[sa.Table, ...] = ()


class Retention:
    """Deletes what is older than its class is kept for, in short transactions, each with its row in the audit."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def due(self, kept_for: KeptFor) -> Mapping[str, int]:
        """How many rows `purge` would delete now, by class."""
        counts: Counter[str] = Counter()
        with self._db.read() as connection:
            for rows in _classes(kept_for, self._db.now(connection)):
                number = sa.select(sa.func.count()).select_from(rows.old.subquery())
                counts[rows.name] += connection.execute(number).scalar_one()
        return dict(counts)

    def purge(self, kept_for: KeptFor, *, actor: str) -> Mapping[str, int]:
        """Delete them; returns their numbers. An object of such a study that arrives again begins a new job."""
        counts: Counter[str] = Counter()
        with self._db.read() as connection:
            classes = _classes(kept_for, self._db.now(connection))
        for rows in classes:
            found = BATCH_SIZE
            while found == BATCH_SIZE:
                found = self._purge_some(rows, actor)
                counts[rows.name] += found
        return dict(counts)

    def use_of(self, source: str, study_uid: str) -> StudyUse:
        """Whether somebody may still have to read a study, and else how its last job ended."""
        of_study = (jobs.c.study_uid == study_uid) & (jobs.c.source == source)
        last = sa.select(jobs.c.state).where(of_study).order_by(unindexed(jobs.c.created_at).desc()).limit(1)
        in_use = (
            sa.select(jobs.c.id).where(of_study & jobs.c.state.in_(sorted(OPEN))),
            sa.select(jobs.c.id).where(of_study & _to_be_delivered()),
            sa.select(shadow_tasks.c.id).where(
                (shadow_tasks.c.state == DUE) & (shadow_tasks.c.study_uid == study_uid)
            ),
        )
        with self._db.read() as connection:
            if any(connection.execute(query.limit(1)).first() for query in in_use):
                return StudyUse.IN_USE
            state = connection.execute(last).scalar()
        if state is None:
            return StudyUse.UNKNOWN
        return StudyUse.READ if state == JobState.COMPLETED else StudyUse.FAILED

    def _purge_some(self, rows: _Rows, actor: str) -> int:
        with self._db.read() as connection:  # most often there is nothing, and no writer waits for that
            keys = connection.execute(rows.old.limit(BATCH_SIZE)).all()
        if not keys:
            return 0
        with self._db.write() as connection:
            for table in rows.with_them:
                connection.execute(sa.delete(table).where(table.c.job_id.in_([key[0] for key in keys])))
            old = sa.tuple_(*rows.keys).in_([tuple(key) for key in keys])
            table = rows.keys[0].table
            connection.execute(sa.delete(table).where(old))
            if table in OF_EVIDENCE:
                note_purge(connection)
            detail = {"class": rows.name, "rows": len(keys)}
            self._audit.append_within(connection, actor, PURGED, "ledger", detail)
        return len(keys)


def _classes(kept_for: KeptFor, now: datetime) -> tuple[_Rows, ...]:
    """What is old, by class, children before what they belong to."""
    return (
        *(_documents(now - kept_for.documents) if kept_for.documents is not None else ()),
        *(_jobs(now - kept_for.jobs) if kept_for.jobs is not None else ()),
        *(_evidence(now - kept_for.evidence) if kept_for.evidence is not None else ()),
        _Rows("costs", (cost_events.c.id,), sealed_events()),
    )


def _documents(before: datetime) -> tuple[_Rows, ...]:
    keys = (documents.c.job_id, documents.c.kind)
    old = sa.select(*keys).join(jobs, jobs.c.id == documents.c.job_id).where(_ended(before))
    return (_Rows("documents", keys, old),)


def _jobs(before: datetime) -> tuple[_Rows, ...]:
    """All that names a study, and notices of no job. A pending shadow stays, whatever became of its job."""
    children = (documents, deliveries, idempotency, readings)
    shadows = sa.select(shadow_tasks.c.id).where(shadow_tasks.c.ended_at < before)
    notes = sa.select(truth_notes.c.truth_id).where(truth_notes.c.at < before)
    alone = (deliveries.c.job_id == NO_JOB) & (unindexed(deliveries.c.state) != DUE)
    notices = sa.select(deliveries.c.id).where(alone & (deliveries.c.ended_at < before))
    said = sa.select(recall_notes.c.item_id).where(recall_notes.c.at < before)
    return (
        _Rows("jobs", (jobs.c.id,), sa.select(jobs.c.id).where(_ended(before)), children),
        _Rows("shadows", (shadow_tasks.c.id,), shadows),
        _Rows("notes", (truth_notes.c.truth_id,), notes),
        _Rows("notices", (deliveries.c.id,), notices),
        _Rows("notes", (recall_notes.c.item_id,), said),
    )


def _evidence(before: datetime) -> tuple[_Rows, ...]:
    tables = (
        decisions,
        exposures,
        shadow_outcomes,
        escalations,
        replays,
        study_records,
        study_marks,
        drift_answers,
        *OF_EVIDENCE,
    )
    keys = {table: tuple(table.primary_key.columns) for table in tables}
    by_time = (
        _Rows("evidence", key, sa.select(*key).where(table.c.at < before)) for table, key in keys.items()
    )
    return (*by_time, *_recalls(before), *_runs(before))


def _recalls(before: datetime) -> tuple[_Rows, ...]:
    """Items that wait for nobody, and lists that hold none any more."""
    old = (recall_items.c.answered_at < before) & recall_items.c.open_since.is_(None)
    is_empty = ~sa.exists().where(recall_items.c.recall_id == recalls.c.id)
    empty = (recalls.c.made_at < before) & recalls.c.is_complete & is_empty
    return (
        _Rows("evidence", (recall_items.c.id,), sa.select(recall_items.c.id).where(old)),
        _Rows("evidence", (recalls.c.id,), sa.select(recalls.c.id).where(empty)),
    )


def _runs(before: datetime) -> tuple[_Rows, ...]:
    """Rollouts that ended before and that a later run of the version has followed, after all that belongs to them."""
    later = rollouts.alias("later")
    followed = sa.exists().where(
        (later.c.model == rollouts.c.model)
        & (later.c.candidate == rollouts.c.candidate)
        & (later.c.run > rollouts.c.run)
    )
    old = (rollouts.c.ended_at < before) & followed
    return (
        *(
            _Rows("evidence", tuple(each.primary_key.columns), _of_runs(each, old))
            for each in (rollout_events, rollout_approvals, rollout_evidence)
        ),
        _Rows("evidence", (rollouts.c.model, rollouts.c.run), _RUNS.where(old)),
    )


def _of_runs(table: sa.Table, old: sa.ColumnElement[bool]) -> sa.Select[Any]:
    of_it = (table.c.model == rollouts.c.model) & (table.c.run == rollouts.c.run)
    return sa.select(*table.primary_key.columns).join(rollouts, of_it).where(old)


def _ended(before: datetime) -> sa.ColumnElement[bool]:
    """Jobs that ended before, and of which nothing is still to be delivered."""
    ended = jobs.c.state.in_(sorted(FINISHED)) & (jobs.c.finished_at < before)
    return ended & ~_to_be_delivered()


def _to_be_delivered() -> sa.ColumnElement[bool]:
    return sa.exists().where((deliveries.c.job_id == jobs.c.id) & (unindexed(deliveries.c.state) == DUE))


_RUNS = sa.select(rollouts.c.model, rollouts.c.run)
