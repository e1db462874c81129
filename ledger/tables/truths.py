"""What was really there, and what two versions said of it."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

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
