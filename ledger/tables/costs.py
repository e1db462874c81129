"""What readings cost: the events that tell of it, and the books, which are only ever added to."""

from __future__ import annotations

import sqlalchemy as sa

from ledger.tables.base import UtcTime, metadata

cost_events = sa.Table(
    "cost_events",
    metadata,
    sa.Column("id", sa.String(96), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("start_ns", sa.BigInteger, nullable=False, index=True),  # nanoseconds since the epoch
    sa.Column("end_ns", sa.BigInteger, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
)

# An hour is counted from the epoch.
cost_hours = sa.Table(
    "cost_hours",
    metadata,
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("is_open", sa.Boolean, nullable=False),  # events came that are not in the books
    sa.Column(
        "entries", sa.Integer, nullable=False
    ),  # how often it was posted; all but the first are corrections
    sa.Column("prices", sa.String(32), nullable=False),  # the digest of those that it was posted by
    sa.Column("unpriced", sa.String(128), nullable=False),
    sa.Column(  # its events are gone, so that nothing corrects it any more
        "is_sealed", sa.Boolean, nullable=False, server_default=sa.false()
    ),
)

cost_postings = sa.Table(
    "cost_postings",
    metadata,
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("line", sa.String(16), nullable=False),
    sa.Column("item", sa.String(32), nullable=False),
    sa.Column("study", sa.String(128), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("variant", sa.String(255), nullable=False),
    sa.Column("site", sa.String(64), nullable=False),
    sa.Column("modality", sa.String(64), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("delivered", sa.Boolean, nullable=False),
    sa.Column("marginal", sa.Boolean, nullable=False),
    sa.Column("nano", sa.BigInteger, nullable=False),
    sa.Column("deployment", sa.String(64), nullable=False, server_default=""),
)

cost_bills = sa.Table(  # what the paid times alone come to: the postings of an hour sum to it
    "cost_bills",
    metadata,
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("item", sa.String(32), primary_key=True),
    sa.Column("nano", sa.BigInteger, nullable=False),
)

waiting_work = sa.Table(  # what no worker begins, so that a budget holds
    "waiting_work",
    metadata,
    sa.Column("app", sa.String(255), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),  # of shadow tasks
    sa.Column("model", sa.String(64), nullable=False),
    sa.Column("until", UtcTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
