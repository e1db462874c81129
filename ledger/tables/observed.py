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
        sa.Index("study_records_by_time", "at"),
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
