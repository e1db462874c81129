"""What was really there, and the pairs of readings that are judged by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "truths",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("finding", sa.String(96), nullable=False),
        sa.Column("label", sa.String(16)),
        sa.Column("value", sa.Float),
        sa.Column("unit", sa.String(16)),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("reader", sa.String(64), nullable=False),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.Column("pair_id", sa.String(32)),
        sa.Column("withdrawn_at", sa.BigInteger),
    )
    op.create_index("truths_by_study", "truths", ["study_key", "tenant", "model", "finding"])
    op.create_table(
        "truth_notes",
        sa.Column("truth_id", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_truth_notes_at", "truth_notes", ["at"])
    op.create_table(
        "pairing",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("at", sa.BigInteger),
        sa.Column("changes", sa.Integer, nullable=False),
    )
    _paired_readings()


def _paired_readings() -> None:
    name = "paired_readings"
    op.create_table(
        name,
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("finding", sa.String(96), nullable=False),
        sa.Column("meaning", sa.String(64), nullable=False),
        sa.Column("champion", sa.String(64), nullable=False),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(200), nullable=False),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("modality", sa.String(64), nullable=False),
        sa.Column("scanner", sa.Text, nullable=False),
        sa.Column("champion_says", sa.String(16), nullable=False),
        sa.Column("candidate_says", sa.String(16), nullable=False),
        sa.Column("champion_value", sa.Float),
        sa.Column("candidate_value", sa.Float),
        sa.Column("is_discordant", sa.Boolean, nullable=False),
        sa.Column("is_selected", sa.Boolean, nullable=False),
        sa.Column("inclusion_probability", sa.Float, nullable=False),
        sa.Column("open_since", sa.BigInteger),
        sa.Column("answered_at", sa.BigInteger),
    )
    op.create_index("paired_readings_by_versions", name, ["model", "champion", "candidate", "finding"])
    op.create_index("paired_readings_by_time", name, ["model", "seen_at"])
    waits = sa.text("open_since IS NOT NULL")
    op.create_index(
        "paired_readings_open", name, ["model", "open_since"], sqlite_where=waits, postgresql_where=waits
    )
