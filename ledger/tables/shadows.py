"""Studies that versions read for evidence only."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

shadow_tasks = sa.Table(
    "shadow_tasks",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("app", sa.String(255), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("series_uids", sa.JSON, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("rule", sa.JSON, nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("decision", sa.JSON, nullable=False),
    sa.Column("delivered", sa.JSON, nullable=False),
    sa.Column("mask", sa.LargeBinary),  # of the delivered prediction, packed; only while the task is pending
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("not_before", UtcTime, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("token", sa.String(32), index=True),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", UtcTime),
    sa.Column("ended_at", UtcTime, index=True),
    sa.Column("error_code", sa.String(64)),
    sa.Column("batch", sa.String(32)),  # the replay or the run of a ground-truth set that asked for it
    sa.Column("first_tried_at", UtcTime),
    sa.UniqueConstraint("job_id", "app", "role"),
    sa.Index("shadow_tasks_to_claim", "state", "app", "rank", "created_at"),
)
sa.Index(
    "shadow_tasks_of_batch",
    shadow_tasks.c.batch,
    shadow_tasks.c.state,
    sqlite_where=shadow_tasks.c.batch.is_not(None),
    postgresql_where=shadow_tasks.c.batch.is_not(None),
)

shadow_outcomes = sa.Table(  # apart from documents and deliveries, and no key leads from here to them
    "shadow_outcomes",
    metadata,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("app", sa.String(255), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("identity", sa.String(200), nullable=False),
    sa.Column("delivered", sa.JSON, nullable=False),
    sa.Column("outcome", sa.JSON(none_as_null=True)),
    sa.Column("error_code", sa.String(64)),
    sa.Column("latency_ms", sa.Float),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("batch", sa.String(32)),
    sa.Index("shadow_outcomes_by_time", "model", "at"),
)
sa.Index(
    "shadow_outcomes_of_batch",
    shadow_outcomes.c.batch,
    sqlite_where=shadow_outcomes.c.batch.is_not(None),
    postgresql_where=shadow_outcomes.c.batch.is_not(None),
)

replays = sa.Table(  # what people had a version read again; its tasks and outcomes carry its id as `batch`
    "replays",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("champion", sa.String(64), nullable=False),
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("last", sa.Integer, nullable=False),
    sa.Column("since", UtcTime),
    sa.Column("run", sa.Integer),  # of the candidate's rollout that was under way
    sa.Column("studies", sa.Integer),  # of so many patients; once all were asked for, like the next two
    sa.Column("known", sa.Integer),  # of these patients the candidate had read one before
    sa.Column("asked", sa.Integer),
    sa.Column("canceled_at", UtcTime),
    sa.Column("taken_back", sa.Integer, nullable=False),  # tasks that a cancel found untouched
    sa.Index("replays_by_time", "model", "at"),
)

escalations = sa.Table(
    "escalations",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("audience", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.UniqueConstraint("job_id", "digest"),
)
