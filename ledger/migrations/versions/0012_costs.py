"""Costs: the events that tell of paid times and usages, and the books of each hour, with their corrections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"  # 0012 is to come before it


def upgrade() -> None:
    op.create_table(
        "cost_events",
        sa.Column("id", sa.String(96), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("ix_cost_events_start_ns", "cost_events", ["start_ns"])
    op.create_table(
        "cost_hours",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("prices", sa.String(32), nullable=False),
        sa.Column("unpriced", sa.String(128), nullable=False),
    )
    op.create_table(
        "cost_postings",
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
    )
    op.create_table(
        "cost_bills",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("item", sa.String(32), primary_key=True),
        sa.Column("nano", sa.BigInteger, nullable=False),
    )
