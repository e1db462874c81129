"""Recalls: the studies that a withdrawn version answered, what the champion says of each, and who looked at it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "recalls",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("run", sa.Integer),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("made_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("taken_up_to", sa.BigInteger, nullable=False),
        sa.Column("is_complete", sa.Boolean, nullable=False),
        sa.UniqueConstraint("model", "run"),
    )
    op.create_index("recalls_by_model", "recalls", ["model", "made_at"])
    op.create_table(
        "recall_items",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("recall_id", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("reading_id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("answered_at", sa.BigInteger, nullable=False),
        sa.Column("variant", sa.String(255), nullable=False),
        sa.Column("delivered", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("difference", sa.String(16)),
        sa.Column("delivered_missed", sa.Boolean, nullable=False),
        sa.Column("score_change", sa.Integer),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("champion", sa.String(64)),
        sa.Column("reread", sa.JSON),
        sa.Column("reread_at", sa.BigInteger),
        sa.Column("error_code", sa.String(64)),
        sa.Column("open_since", sa.BigInteger),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("closed_by", sa.String(128)),
        sa.UniqueConstraint("recall_id", "job_id"),
    )
    op.create_index("recall_items_by_state", "recall_items", ["recall_id", "state"])
    is_open = sa.text("open_since IS NOT NULL")
    op.create_index(
        "recall_items_open",
        "recall_items",
        ["recall_id", "difference"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.create_table(
        "recall_notes",
        sa.Column("item_id", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_recall_notes_at", "recall_notes", ["at"])
