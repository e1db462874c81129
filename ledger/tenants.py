"""Which of a tenant's jobs something is about: his own, or one that another tenant's reading has answered."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables import jobs


def own_job(job_id: sa.ColumnElement[str], tenant: str) -> sa.ColumnElement[str]:
    """The tenant's job for a column of job ids: the same one, or the first that it answered; else null."""
    mine = jobs.c.tenant == tenant
    read = sa.select(jobs.c.id).where((jobs.c.id == job_id) & mine)
    answered = sa.select(sa.func.min(jobs.c.id)).where((jobs.c.same_as == job_id) & mine)
    return sa.func.coalesce(read.scalar_subquery(), answered.scalar_subquery())
