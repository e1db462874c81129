"""The schema as it stood before there were revisions, when its number was 6: the tables of a ledger of that time.

A ledger that has them already is left as it is: whatever is missing is made.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

schema_6 = sa.MetaData()


def upgrade() -> None:
    schema_6.create_all(op.get_bind())


sa.Table("schema_version", schema_6, sa.Column("version", sa.Integer, primary_key=True))

sa.Table(
    "jobs",
    schema_6,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("priority", sa.String(16), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("series_uids", sa.JSON, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("by_object", sa.Boolean, nullable=False),
    sa.Column("follow_up", sa.Integer, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("requested_model", sa.String(64), nullable=False),
    sa.Column("tester_variant", sa.String(255)),
    sa.Column("inference_type", sa.String(16), nullable=False),
    sa.Column("outputs", sa.JSON, nullable=False),
    sa.Column("callback", sa.Text),
    sa.Column("context", sa.JSON, nullable=False),
    sa.Column("force", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("not_before", sa.BigInteger, nullable=False),
    sa.Column("called", sa.Boolean, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("scheduled_at", sa.BigInteger, nullable=False),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("failing_kind", sa.String(16)),
    sa.Column("token", sa.String(32), index=True),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", sa.BigInteger),
    sa.Column("takeover_at", sa.BigInteger),
    sa.Column("stage", sa.String(32)),
    sa.Column("stages_s", sa.JSON, nullable=False),
    sa.Column("error_code", sa.String(64)),
    sa.Column("error_detail", sa.Text),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("result_version", sa.Integer),
    sa.Column("same_as", sa.String(32)),
    sa.Index("jobs_to_claim", "state", "rank", "scheduled_at", "not_before"),
    sa.Index("jobs_by_study", "study_uid", "state"),
    sa.Index("jobs_by_model", "model", "created_at", "id"),
    sa.Index("jobs_by_age", "created_at", "id"),
    sa.Index("jobs_to_purge", "finished_at"),
)

sa.Table(
    "idempotency",
    schema_6,
    sa.Column("tenant", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False, index=True),
)

sa.Table(
    "readings",
    schema_6,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.String(32), nullable=False, index=True),
)

sa.Table(
    "documents",
    schema_6,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)

sa.Table(
    "deliveries",
    schema_6,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("job_id", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("lane", sa.Text, nullable=False),
    sa.Column("document", sa.String(16)),
    sa.Column("payload", sa.JSON),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("not_before", sa.BigInteger, nullable=False),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", sa.BigInteger),
    sa.Column("error_code", sa.String(64)),
    sa.Column("ended_at", sa.BigInteger),
    sa.Index("deliveries_due", "state", "not_before"),
)

sa.Table(
    "audit",
    schema_6,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)

sa.Table(
    "routing",
    schema_6,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

sa.Table(
    "routing_site",
    schema_6,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("freeze", sa.JSON(none_as_null=True)),
)

sa.Table(
    "control_state",
    schema_6,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("leader_epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("renewed_at", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("published_at", sa.BigInteger),
    sa.Column("snapshot", sa.Text),
    sa.Column("states", sa.Text),
    sa.Column("digest", sa.String(64)),
)

sa.Table(
    "transitions",
    schema_6,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("alias", sa.String(255), nullable=False),
    sa.Column("old", sa.String(64)),
    sa.Column("new", sa.String(64)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("transitions_of_alias", "model", "alias", "sequence"),
)

sa.Table(
    "decisions",
    schema_6,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("identity", sa.String(200), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("assigned_at", sa.BigInteger, nullable=False),
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
    sa.Index("decisions_by_time", "model", "at"),
    sa.Index("decisions_by_assignment", "model", "assigned_at"),
)

sa.Table(
    "exposures",
    schema_6,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("salt", sa.String(64), primary_key=True),
    sa.Column("identity", sa.String(200), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("arm", sa.String(255), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("weight_bp", sa.Integer, nullable=False),
    sa.Column("segments", sa.Text, nullable=False),
    sa.Index("exposures_by_time", "model", "at"),
)

sa.Table(
    "shadow_tasks",
    schema_6,
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
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("not_before", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("losses", sa.Integer, nullable=False),
    sa.Column("token", sa.String(32), index=True),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger, index=True),
    sa.Column("error_code", sa.String(64)),
    sa.UniqueConstraint("job_id", "app", "role"),
    sa.Index("shadow_tasks_to_claim", "state", "app", "rank", "created_at"),
)

sa.Table(
    "shadow_outcomes",
    schema_6,
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
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Index("shadow_outcomes_by_time", "model", "at"),
)

sa.Table(
    "escalations",
    schema_6,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("audience", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.UniqueConstraint("job_id", "digest"),
)
