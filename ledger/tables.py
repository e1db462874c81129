"""The tables. Times are aware UTC; JSON where nothing is searched; every index is there for one query."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()
REVISION = "0011"  # the newest in ledger/migrations/versions, which makes the tables as they stand here
SCHEMA_VERSION = 7  # stays: it keeps away a Serinus that reads `schema_version` and knows of no revisions
RESULT_VERSION = 1  # of the JSON that `jobs.result` holds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Whole microseconds since the epoch; `timestamp()` is a float and rounds."""
    return (at - EPOCH) // MICROSECOND


class UtcTime(TypeDecorator[datetime]):
    """A time as microseconds since the epoch: exact, sortable, the same in SQLite and PostgreSQL."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


def unindexed(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column for a condition that no index shall serve: without statistics SQLite may take one that grows."""
    return sa.func.coalesce(column, column)


schema = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

revisions = sa.Table(  # one row, kept by Alembic; apart from the others, as Alembic makes it by itself
    "ledger_revision",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="ledger_revision_pkc"),
)

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
)

api_keys = sa.Table(  # of a key only its digest is kept
    "api_keys",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("expires_at", UtcTime),
    sa.Column("revoked_at", UtcTime),
    sa.Column("last_used_on", sa.Date),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)

# MLflow takes aliases of up to 255 characters, and a variant or an arm is called by its alias.
routing = sa.Table(
    "routing",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

routing_site = sa.Table(
    "routing_site",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # there is one site
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("freeze", sa.JSON(none_as_null=True)),
)

control_state = sa.Table(
    "control_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # there is one site
    sa.Column("leader_epoch", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(128), nullable=False),
    sa.Column("renewed_at", UtcTime, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # of the snapshot, like all that follows
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("published_at", UtcTime),
    sa.Column("snapshot", sa.Text),
    sa.Column("states", sa.Text),
    sa.Column("digest", sa.String(64)),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("alias", sa.String(255), nullable=False),
    sa.Column("old", sa.String(64)),
    sa.Column("new", sa.String(64)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("transitions_of_alias", "model", "alias", "sequence"),
)

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

truth_sets = sa.Table(  # ground-truth sets: what stands here never changes, other content is another version
    "truth_sets",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("studies", sa.Integer, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
)

truth_set_studies = sa.Table(  # names studies for as long as the set is there
    "truth_set_studies",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("source", sa.String(64), nullable=False),
    sa.Column("study_uid", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),  # empty: the version chooses
    sa.Column("truths", sa.JSON, nullable=False),
)

truth_set_schedules = sa.Table(
    "truth_set_schedules",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("every_s", sa.Integer),
)

truth_set_runs = sa.Table(  # its tasks and outcomes carry its id as `batch`
    "truth_set_runs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("set_version", sa.Integer, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(128), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("studies", sa.Integer, nullable=False),
    sa.Column("result", sa.JSON(none_as_null=True)),  # once every study has ended
    sa.Column("ended_at", UtcTime),
    sa.Index("truth_set_runs_by_time", "name", "at"),
)

truths = (
    sa.Table(  # what sources say was really there; by the study's pseudonym, also before anybody reads it
        "truths",
        metadata,
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("finding", sa.String(96), nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("value", sa.Float),
        sa.Column("unit", sa.String(16)),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("reader", sa.String(64), nullable=False),
        sa.Column("read_at", UtcTime, nullable=False),
        sa.Column("pair_id", sa.String(32)),  # the item of the adjudication queue that it answers
        sa.Column("withdrawn_at", UtcTime),
        sa.Index("truths_by_study", "study_key", "tenant", "model", "finding"),
        sa.Index("truths_by_arrival", "model", "at"),
    )
)

truth_notes = sa.Table(  # apart, since a note may name anything: it goes with what names a study
    "truth_notes",
    metadata,
    sa.Column("truth_id", sa.String(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
)

paired_readings = sa.Table(  # the first study of each patient that two versions read, and what both say of it
    "paired_readings",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("finding", sa.String(96), nullable=False),
    sa.Column("meaning", sa.String(64), nullable=False),
    sa.Column("champion", sa.String(64), nullable=False),
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("patient", sa.String(200), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),  # when the second of the two had read it
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("modality", sa.String(64), nullable=False),
    sa.Column("scanner", sa.Text, nullable=False),
    sa.Column("champion_says", sa.String(16), nullable=False),
    sa.Column("candidate_says", sa.String(16), nullable=False),
    sa.Column("champion_value", sa.Float),
    sa.Column("candidate_value", sa.Float),
    sa.Column("champion_score", sa.Float),  # the probability that the version gave to the finding
    sa.Column("candidate_score", sa.Float),
    sa.Column("is_discordant", sa.Boolean, nullable=False),
    sa.Column("is_selected", sa.Boolean, nullable=False),
    sa.Column("inclusion_probability", sa.Float, nullable=False),
    sa.Column("open_since", UtcTime),  # while the adjudication queue waits for its answer
    sa.Column("answered_at", UtcTime),
    sa.Column("role", sa.String(16)),  # as what the second of them read it; of older rows not kept
    sa.Index("paired_readings_by_versions", "model", "champion", "candidate", "finding"),
    sa.Index("paired_readings_by_time", "model", "seen_at"),
    sa.Index("paired_readings_by_arrival", "model", "champion", "candidate", "at"),
    sa.Index("paired_readings_by_patient", "patient", "model"),
    sa.Index("paired_readings_by_study", "study_key", "model"),
)
sa.Index(
    "paired_readings_open",
    paired_readings.c.model,
    paired_readings.c.open_since,
    sqlite_where=paired_readings.c.open_since.is_not(None),
    postgresql_where=paired_readings.c.open_since.is_not(None),
)

paired_studies = sa.Table(  # the first study of each patient that two versions were given, and how it went
    "paired_studies",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("champion", sa.String(64), primary_key=True),
    sa.Column("candidate", sa.String(64), primary_key=True),
    sa.Column("patient", sa.String(200), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("seen_at", UtcTime, nullable=False),  # when the second of the two had read it
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("modality", sa.String(64), nullable=False),
    sa.Column("scanner", sa.Text, nullable=False),
    sa.Column("champion_ended", sa.String(16), nullable=False),
    sa.Column("candidate_ended", sa.String(16), nullable=False),
    sa.Column("champion_ms", sa.Float),  # what the version itself worked at it
    sa.Column("candidate_ms", sa.Float),
    sa.Column("overlap", sa.Float),  # the Dice coefficient of the two segmentations
    sa.Index("paired_studies_by_arrival", "model", "champion", "candidate", "at"),
)

pairing = sa.Table(  # up to which shadow's outcome pairs were taken, and how pairs and truths have changed
    "pairing",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("at", UtcTime),
    sa.Column("changes", sa.Integer, nullable=False),
    sa.Column(
        "rewrites", sa.Integer, nullable=False, server_default="0"
    ),  # changes that did more than add behind all that was there
    sa.Column("changed_at", UtcTime),  # the time of the latest change
)

rollouts = sa.Table(  # one run of a model's rollout; a change is made for the `revision` that was read
    "rollouts",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("plan_digest", sa.String(64), nullable=False),
    sa.Column("status", sa.JSON, nullable=False),
    sa.Column("began_at", UtcTime, nullable=False),
    sa.Column("ended_at", UtcTime),
)

rollout_events = sa.Table(  # append only: what a run went through, and who or what moved it
    "rollout_events",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1 in each run
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("before", sa.JSON(none_as_null=True)),  # nothing, of the beginning
    sa.Column("after", sa.JSON, nullable=False),
)

rollout_approvals = sa.Table(
    "rollout_approvals",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("role", sa.String(64), primary_key=True),
    sa.Column("actor", sa.String(128), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
)

rollout_evidence = sa.Table(  # what a run knows of a metric, and up to where the ledger was read for it
    "rollout_evidence",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True),
    sa.Column("metric", sa.String(96), primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
    sa.Column("cursor", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
)

recalls = sa.Table(  # a withdrawal of a version: which of its studies are to be looked at again
    "recalls",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("run", sa.Integer),  # of the rollout; none if a person asked for another time
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("made_by", sa.String(128), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("taken_up_to", UtcTime, nullable=False),  # studies that were answered by then are on the list
    sa.Column("is_complete", sa.Boolean, nullable=False),
    sa.UniqueConstraint("model", "run"),
    sa.Index("recalls_by_model", "model", "made_at"),
)

recall_items = sa.Table(  # a study that a withdrawn version answered, and what the champion says of it
    "recall_items",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("recall_id", sa.String(32), nullable=False),
    sa.Column("job_id", sa.String(32), nullable=False),
    sa.Column("reading_id", sa.String(32), nullable=False),  # the job whose reading it has: mostly itself
    sa.Column("tenant", sa.String(64), nullable=False),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("answered_at", UtcTime, nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("delivered", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("difference", sa.String(16)),
    sa.Column("delivered_missed", sa.Boolean, nullable=False),
    sa.Column("score_change", sa.Integer),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("champion", sa.String(64)),
    sa.Column("reread", sa.JSON(none_as_null=True)),
    sa.Column("reread_at", UtcTime),
    sa.Column("error_code", sa.String(64)),
    sa.Column("open_since", UtcTime),  # while a person has to look at it
    sa.Column("closed_at", UtcTime),
    sa.Column("closed_by", sa.String(128)),
    sa.UniqueConstraint("recall_id", "job_id"),
    sa.Index("recall_items_by_state", "recall_id", "state"),
)
sa.Index(
    "recall_items_open",
    recall_items.c.recall_id,
    recall_items.c.difference,
    sqlite_where=recall_items.c.open_since.is_not(None),
    postgresql_where=recall_items.c.open_since.is_not(None),
)

recall_notes = sa.Table(  # apart, since a note may name anything: it goes with what names a study
    "recall_notes",
    metadata,
    sa.Column("item_id", sa.String(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
)
