"""Jobs, and what they bring and bring about."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

ENDED = sa.text("finished_at IS NOT NULL")

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("priority", sa.String(16), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("series_uids", sa.JSON, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("by_object", sa.Boolean, nullable=False),
    sa.Column(
        "follow_up", sa.Integer, nullable=False
    ),  # counts the jobs of a study that comes object by object
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("requested_model", sa.String(64), nullable=False),  # `model` becomes the one that read it
    sa.Column("tester_variant", sa.String(255)),
    sa.Column("inference_type", sa.String(16), nullable=False),
    sa.Column("outputs", sa.JSON, nullable=False),
    sa.Column("callback", sa.Text),
    sa.Column("context", sa.JSON, nullable=False),
    sa.Column("force", sa.Boolean, nullable=False),  # read it, whatever was read before
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("not_before", UtcTime, nullable=False),
    sa.Column("called", sa.Boolean, nullable=False),  # a worker was called for it by name, so the scan waits
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("scheduled_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("failing_since", UtcTime),
    sa.Column("failing_kind", sa.String(16)),
    sa.Column("token", sa.String(32), index=True),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", UtcTime),
    sa.Column("takeover_at", UtcTime),  # the lease's end, and a pause for a study that lost its worker before
    sa.Column("stage", sa.String(32)),
    sa.Column("stages_s", sa.JSON, nullable=False),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_detail", sa.Text),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("result_version", sa.Integer),
    sa.Column("same_as", sa.String(32)),  # the job whose reading answered this one
    sa.Column("same_as_foreign", sa.Boolean),  # whether that is another tenant's, which nobody is told
    sa.Column("asked_priority", sa.String(16)),  # `priority` is what the site's rules made of it
    sa.Column("priority_rule", sa.String(64)),  # the rule that changed it
    sa.Column("deadline_s", sa.Float),  # as it was asked for
    sa.Column("deadline", UtcTime),  # when the caller needs the answer
    sa.Column("traceparent", sa.String(55)),  # of a trusted caller (W3C Trace Context)
    sa.Index("jobs_to_claim", "state", "rank", "scheduled_at", "not_before"),
    sa.Index("jobs_by_study", "study_uid", "state"),
    sa.Index("jobs_by_model", "model", "created_at", "id"),
    sa.Index("jobs_by_age", "created_at", "id"),
    sa.Index("jobs_by_tenant", "tenant", "created_at", "id"),
    # these two hold only jobs that have ended, and are written once for each
    sa.Index("jobs_ended", "state", "finished_at", sqlite_where=ENDED, postgresql_where=ENDED),
    sa.Index("jobs_by_state", "state", "created_at", "id", sqlite_where=ENDED, postgresql_where=ENDED),
)
sa.Index(
    "jobs_by_same_as",
    jobs.c.same_as,
    sqlite_where=jobs.c.same_as.is_not(None),
    postgresql_where=jobs.c.same_as.is_not(None),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False, index=True),
)

readings = (
    sa.Table(  # which job reads, or has read, an input by a version: `key` names all that decides a reading
        "readings",
        metadata,
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(32), nullable=False, index=True),
    )
)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("job_id", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),  # the store or host; what hangs there holds up no other lane
    sa.Column("document", sa.String(16)),
    sa.Column("payload", sa.JSON),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("not_before", UtcTime, nullable=False),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", UtcTime),
    sa.Column("error_code", sa.String(64)),
    sa.Column("ended_at", UtcTime),
    sa.Index("deliveries_due", "state", "not_before"),
    sa.Index("deliveries_ended", "ended_at"),
)
