"""The SQL of what is asked about jobs: pages of them, what a study's jobs have reported, what nobody has begun."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from ledger.records import FAILURE_SR, SR
from ledger.state import HAS_RESULT, JobState
from ledger.tables import documents, jobs, microseconds, unindexed

JOB: Final = sa.select(jobs).where(jobs.c.id == sa.bindparam("this_job"))


def cursor_of(row: RowMapping) -> str:
    """Where the page after this row begins."""
    return f"{microseconds(row['created_at'])}.{row['id']}"


def older_than(cursor: str) -> sa.ColumnElement[bool]:
    """Older than the cursor's job. A malformed cursor selects nothing."""
    at, _, job_id = cursor.partition(".")
    if not at.isdigit():
        return sa.false()
    when = sa.literal(int(at), sa.BigInteger)
    created = sa.type_coerce(jobs.c.created_at, sa.BigInteger)
    return sa.or_(created < when, sa.and_(created == when, jobs.c.id < job_id))


def _newest(kind: str, states: frozenset[JobState]) -> sa.Select[Any]:
    """The newest document of a kind that a model's jobs for a study have left, of those that ended so."""
    until = sa.bindparam("before", type_=jobs.c.created_at.type)
    newest = (
        sa.select(documents.c.kind, documents.c.content, jobs.c.created_at)
        .join(jobs, (jobs.c.id == documents.c.job_id) & (documents.c.kind == kind))
        .where(jobs.c.study_uid == sa.bindparam("this_study"), jobs.c.state.in_(sorted(states)))
        .where(unindexed(jobs.c.model) == sa.bindparam("this_model"), unindexed(jobs.c.created_at) < until)
        .order_by(unindexed(jobs.c.created_at).desc())
        .limit(1)
    )
    return sa.select(newest.subquery())


FORMER_REPORTS: Final = sa.union_all(
    _newest(SR, HAS_RESULT), _newest(FAILURE_SR, frozenset({JobState.FAILED}))
)
NOT_BEGUN: Final = (
    sa.select(jobs)
    .where((jobs.c.study_uid == sa.bindparam("this_study")) & (jobs.c.tenant == sa.bindparam("this_tenant")))
    .where((jobs.c.state == JobState.QUEUED) & ~jobs.c.by_object)
    .where((jobs.c.attempt == 0) & (jobs.c.losses == 0) & jobs.c.error_code.is_(None))
    .limit(20)
)
