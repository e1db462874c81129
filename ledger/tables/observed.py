"""What was observed of each study, and the metrics that these records add up to."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

study_records = (
    sa.Table(  # one line for each attempt at a study, and each reading of it that nobody waits for
        "study_records",
        metadata,
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("job_id", sa.String(64)),
        sa.Index("study_records_by_time", "at"),
        sa.Index("study_records_by_job", "job_id"),
        sqlite_autoincrement=True,  # a number is never given again, also when the newest rows are purged
    )
)

folds = sa.Table(  # how far each view of the records has come
    "folds",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

metric_series = sa.Table(
    "metric_series",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("labels", sa.String(1024), primary_key=True),  # a JSON array of values, in the metric's order
    sa.Column("at", UtcTime, nullable=False),  # when something was added last
    sa.Column("document", sa.Text, nullable=False),
)

study_marks = sa.Table(  # how far a study has come: each step of a study and model once
    "study_marks",
    metadata,
    sa.Column(
        "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("study_key", sa.String(128), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("step", sa.String(16), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("priority", sa.String(16)),  # of the job, where one is known
    sa.Column("seconds", sa.Float),  # from accepted to this step, of a step for which that is told
    sa.Column("trace_id", sa.String(32)),  # of the kept trace of the reading
    sa.UniqueConstraint("study_key", "model", "step"),
    sa.Index("study_marks_by_time", "at"),
    sqlite_autoincrement=True,
)

drift_counts = sa.Table(  # how many readings of a version fell into each bin of a signal, by day and place
    "drift_counts",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("slice", sa.Integer, primary_key=True),
    sa.Column("leaf", sa.String(512), primary_key=True),  # a JSON array: site, scanner, protocol
    sa.Column("signal", sa.String(64), primary_key=True),
    sa.Column("bin", sa.Integer, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)

drift_references = sa.Table(  # what a person said is normal
    "drift_references",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("accepted_by", sa.String(128), nullable=False),
    sa.Column("accepted_at", UtcTime, nullable=False),
    sa.Column("watched_from", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("document", sa.Text, nullable=False),  # its counts
    sa.Column("signals", sa.Text),  # its bins; of older rows not kept
    sa.Column("outlier_rule", sa.Text),
)

drift_words = sa.Table(  # as drift_counts, of what has no bins before somebody accepts a reference
    "drift_words",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("slice", sa.Integer, primary_key=True),
    sa.Column("leaf", sa.String(512), primary_key=True),
    sa.Column("signal", sa.String(64), primary_key=True),
    sa.Column("word", sa.String(32), primary_key=True),  # empty: not told
    sa.Column("count", sa.Integer, nullable=False),
)

drift_verdicts = sa.Table(  # the last look at a version, and whether a person has looked since
    "drift_verdicts",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("reference", sa.Integer, nullable=False),
    sa.Column("until", sa.Integer),  # the last day that was judged; NULL: nothing since a person looked
    sa.Column("restarted_at", sa.Integer),  # the first day that is watched after a person looked
    sa.Column("document", sa.Text),  # what was found
)

drift_answers = sa.Table(  # what a version said of a study, for the day on which the truth is told
    "drift_answers",
    metadata,
    sa.Column("model", sa.String(64), primary_key=True),
    sa.Column("version", sa.String(64), primary_key=True),
    sa.Column("finding", sa.String(64), primary_key=True),  # its code
    sa.Column("study_key", sa.String(128), primary_key=True),
    sa.Column("at", UtcTime, nullable=False, index=True),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("says_positive", sa.Boolean, nullable=False),
)

slow_limits = sa.Table(  # above how many seconds a study of a day is slow, by its modality
    "slow_limits",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.Text, nullable=False),
)
