"""Which version read which study, and why."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("identity", sa.String(200), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("assigned_at", UtcTime, nullable=False),
    sa.Column("counts", sa.Boolean, nullable=False),
    sa.Column("assignment_reason", sa.String(16), nullable=False),
    sa.Column("arm", sa.String(255), nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("digest", sa.String(128), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("bucket", sa.Integer),
    sa.Column("weight_bp", sa.Integer, nullable=False),
    sa.Column("segments", sa.Text, nullable=False),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("rule", sa.Text),
    sa.Column("latency_ms", sa.Float),
    sa.Column("facts", sa.Text),
    sa.Column("table_digest", sa.String(64)),
    sa.Index("decisions_by_time", "model", "at"),
    sa.Index("decisions_by_assignment", "model", "assigned_at"),
)

sa.Index(
    "decisions_failed",
    decisions.c.model,
    decisions.c.version,
    decisions.c.at,
    sqlite_where=decisions.c.role == "failed",
    postgresql_where=decisions.c.role == "failed",
)

routing_tables = sa.Table(  # the tables that decisions were made by, each once, by the digest of its text
    "routing_tables",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

exposures = sa.Table(  # the first draw of each identity under each salt: its later studies are no new draw
    "exposures",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("salt", sa.String(64), primary_key=True),
    sa.Column("identity", sa.String(200), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("arm", sa.String(255), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("weight_bp", sa.Integer, nullable=False),
    sa.Column("segments", sa.Text, nullable=False),
    sa.Column("failed", sa.Boolean),  # whether the drawn variant failed at it then; of older rows not kept
    sa.Index("exposures_by_time", "model", "at"),
)
