"""What a recall needs to know of studies: which of them a version answered, and who else has read them.

A study was answered by a version if its decision says so, in whatever role: as canary, arm of a test, by a rule or as
champion. A job that was answered by another job's reading has the version's result, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from canary.explain import DecisionRow
from canary.routing_table import CHAMPION
from core.study import StudyRef
from ledger.database import Database
from ledger.decisions import ANSWERED
from ledger.recall_records import Recall, RecalledStudy, Reread, ToReread
from ledger.recalls import TO_READ
from ledger.shadow_records import RANK, RECALL
from ledger.shadows import DUE
from ledger.state import HAS_RESULT
from ledger.tables import (
    decisions,
    jobs,
    recall_items,
    rollouts,
    shadow_outcomes,
    shadow_tasks,
    transitions,
    unindexed,
)

OPEN_FOR: Final = timedelta(days=2)  # longer than a job is tried
SAME_STUDY: Final = 20  # jobs of one study that are looked at for a reading
_WITH_RESULT: Final = sorted(HAS_RESULT)


class RecalledStudies:
    """Reads only, but for tasks that nobody can carry out any more."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def now(self) -> datetime:
        with self._db.read() as connection:
            return self._db.now(connection)

    def again_at(self, recall: Recall) -> datetime | None:
        """When the version was given studies again: a later run of it began, or `champion` came to name it.

        The alias's moves count from the end of the recalled run, since its own promotion may be noted late.
        """
        of_version = (rollouts.c.model == recall.model) & (rollouts.c.candidate == recall.version)
        later = rollouts.c.began_at > recall.made_at if recall.run is None else rollouts.c.run > recall.run
        ended = sa.select(rollouts.c.ended_at).where(
            (rollouts.c.model == recall.model) & (rollouts.c.run == recall.run)
        )
        to_champion = (
            (transitions.c.model == recall.model)
            & (transitions.c.alias == CHAMPION)
            & (transitions.c.new == recall.version)
        )
        with self._db.read() as connection:
            begun = connection.execute(sa.select(sa.func.min(rollouts.c.began_at)).where(of_version & later))
            times = [begun.scalar()]
            after = recall.made_at if recall.run is None else connection.execute(ended).scalar()
            if after is not None:
                moved = sa.select(sa.func.min(transitions.c.at)).where(
                    to_champion & (transitions.c.at > after)
                )
                times.append(connection.execute(moved).scalar())
        return min((at for at in times if at is not None), default=None)

    def answered(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]:
        """Studies that the version answered from `since` on and before `until`, and that are not on the list yet."""
        query = (
            sa.select(*_STUDY, decisions.c.job_id.label("reading_id"), decisions.c.at.label("answered_at"))
            .outerjoin(jobs, jobs.c.id == decisions.c.job_id)
            .where(_by_version(recall) & (decisions.c.at >= since) & (decisions.c.at < until))
            .where(jobs.c.id.is_(None) | jobs.c.state.in_(_WITH_RESULT))
            .where(~_is_listed(recall, decisions.c.job_id))
            .order_by(decisions.c.at, decisions.c.job_id)
            .limit(limit)
        )
        return self._studies(query)

    def answered_by_it(
        self, recall: Recall, since: datetime, until: datetime, limit: int
    ) -> tuple[RecalledStudy, ...]:
        """The same of jobs that got the result of another job's reading by the version, whenever that was."""
        answered_at = sa.func.coalesce(jobs.c.finished_at, jobs.c.created_at)
        query = (
            sa.select(*_STUDY, jobs.c.same_as.label("reading_id"), answered_at.label("answered_at"))
            .join(decisions, decisions.c.job_id == jobs.c.same_as)
            .where(_by_version(recall) & (jobs.c.model == recall.model))
            .where((jobs.c.created_at >= since - OPEN_FOR) & jobs.c.state.in_(_WITH_RESULT))
            .where((answered_at >= recall.since) & (answered_at < until))
            .where(~_is_listed(recall, jobs.c.id))
            .order_by(jobs.c.created_at, jobs.c.id)
            .limit(limit)
        )
        return self._studies(query)

    def reread(self, recall: Recall, champion: str, limit: int) -> tuple[Reread, ...]:
        """Pending items that the champion has read beside the version, or failed to read for the recall."""
        counts = shadow_outcomes.c.error_code.is_(None) | (shadow_outcomes.c.role == RECALL)
        query = (
            sa.select(
                recall_items.c.id.label("item"),
                recall_items.c.delivered,
                shadow_outcomes.c.outcome,
                shadow_outcomes.c.error_code,
            )
            .join(shadow_outcomes, shadow_outcomes.c.job_id == recall_items.c.reading_id)
            .where((recall_items.c.recall_id == recall.id) & TO_READ & counts)
            .where((shadow_outcomes.c.model == recall.model) & (shadow_outcomes.c.version == champion))
            .order_by(shadow_outcomes.c.error_code.is_not(None), recall_items.c.id)
            .limit(limit)
        )
        found: dict[str, Reread] = {}
        with self._db.read() as connection:
            for row in connection.execute(query).mappings():
                found.setdefault(row["item"], Reread(champion=champion, **row))
        return tuple(found.values())

    def to_reread(self, recall: Recall, app: str, limit: int) -> tuple[ToReread, ...]:
        """Pending items for which the champion behind `app` has no task, the study that was answered last first."""
        has_task = sa.exists().where(
            (shadow_tasks.c.job_id == recall_items.c.reading_id)
            & (shadow_tasks.c.app == app)
            & ((shadow_tasks.c.role == RECALL) | (shadow_tasks.c.state == DUE))
        )
        names = ("reading_id", "study_key", "delivered")
        of_job = (jobs.c[name] for name in ("source", "study_uid", "inputs", "result"))
        query = (
            sa.select(recall_items.c.id.label("item"), *(recall_items.c[name] for name in names), *of_job)
            .outerjoin(jobs, jobs.c.id == recall_items.c.job_id)
            .where((recall_items.c.recall_id == recall.id) & TO_READ & ~has_task)
            .order_by(recall_items.c.answered_at.desc(), recall_items.c.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return tuple(_to_reread(row) for row in connection.execute(query).mappings())

    def results_of(self, study_uid: str, model: str) -> tuple[Mapping[str, Any], ...]:
        """The results of the model's last jobs for a study, the newest first."""
        query = (
            sa.select(jobs.c.result)
            .where((jobs.c.study_uid == study_uid) & jobs.c.state.in_(_WITH_RESULT))
            .where(unindexed(jobs.c.model) == model)  # a study has few jobs, a model very many
            .order_by(unindexed(jobs.c.created_at).desc())
            .limit(SAME_STUDY)
        )
        with self._db.read() as connection:
            return tuple(connection.execute(query).scalars())

    def decision(self, job_id: str, version: str) -> DecisionRow | None:
        """Why the version answered a job's study, without the tables; None if that is no longer kept."""
        names = [name for name in DecisionRow.__dataclass_fields__ if name in decisions.c]
        key = (decisions.c.job_id == job_id) & (decisions.c.role == ANSWERED)
        query = sa.select(*(decisions.c[name] for name in names)).where(
            key & (decisions.c.version == version)
        )
        with self._db.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        texts = {name: row[name] or "" for name in ("facts", "table_digest")}
        return DecisionRow(**{**row, **texts})

    def pending_tasks(self, app: str) -> int:
        """How many studies the champion behind `app` has still to read for recalls."""
        its = (shadow_tasks.c.state == DUE) & (shadow_tasks.c.app == app)
        query = sa.select(sa.func.count()).where(its & (shadow_tasks.c.rank == RANK[RECALL]))
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def drop_tasks_of_others(self, model: str, app: str) -> int:
        """Take back what a former champion was to read for recalls: the items get a task of the present one."""
        others = (shadow_tasks.c.state == DUE) & (shadow_tasks.c.rank == RANK[RECALL])
        others &= (shadow_tasks.c.model == model) & (shadow_tasks.c.app != app)
        query = sa.select(shadow_tasks.c.id, shadow_tasks.c.job_id, shadow_tasks.c.version).where(others)
        with self._db.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            rows = connection.execute(self._db.held(query)).all()
            for id, job_id, version in rows:
                decided = (decisions.c.job_id == job_id) & (decisions.c.role == RECALL)
                connection.execute(sa.delete(decisions).where(decided & (decisions.c.version == version)))
                connection.execute(sa.delete(shadow_tasks).where(shadow_tasks.c.id == id))
        return len(rows)

    def _studies(self, query: sa.Select[Any]) -> tuple[RecalledStudy, ...]:
        with self._db.read() as connection:
            rows: Sequence[RowMapping] = connection.execute(query).mappings().all()
        return tuple(
            RecalledStudy(
                job_id=row["job_id"] or row["reading_id"],
                reading_id=row["reading_id"],
                tenant=row["tenant"] or "",
                study_key=row["study_key"],
                answered_at=row["answered_at"],
                variant=row["variant"],
                result=row["result"] or {},
            )
            for row in rows
        )


_STUDY: Final = (
    jobs.c.id.label("job_id"),
    jobs.c.tenant,
    jobs.c.result,
    decisions.c.study_key,
    decisions.c.variant,
)


def _by_version(recall: Recall) -> sa.ColumnElement[bool]:
    of_version = (decisions.c.model == recall.model) & (decisions.c.version == recall.version)
    return of_version & (decisions.c.role == ANSWERED)


def _is_listed(recall: Recall, job: sa.ColumnElement[str]) -> sa.Exists:
    return sa.exists().where((recall_items.c.recall_id == recall.id) & (recall_items.c.job_id == job))


def _to_reread(row: RowMapping) -> ToReread:
    series_uid = str((row["result"] or {}).get("series_uid", ""))
    study = None
    if row["study_uid"] and series_uid:
        study = StudyRef(row["source"], row["study_uid"], (series_uid,), tuple(row["inputs"]))
    return ToReread(row["item"], row["reading_id"], row["study_key"], row["delivered"], study, series_uid)
