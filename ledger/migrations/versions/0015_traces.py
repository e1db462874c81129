"""Traces: the span of a trusted caller, the job of a record, and from when on a study is slow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("traceparent", sa.String(55)))
    op.add_column("study_records", sa.Column("job_id", sa.String(64)))
    op.create_index("study_records_by_job", "study_records", ["job_id"])
    op.create_table(
        "slow_limits",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.Text, nullable=False),
    )
