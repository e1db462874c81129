"""Drift: words of a site, what its looks found, what versions said of a study, and the bins of a reference."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    with op.batch_alter_table("drift_references") as references:
        references.add_column(sa.Column("signals", sa.Text))
        references.add_column(sa.Column("outlier_rule", sa.Text))
    op.create_table(
        "drift_words",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("slice", sa.Integer, primary_key=True),
        sa.Column("leaf", sa.String(512), primary_key=True),
        sa.Column("signal", sa.String(64), primary_key=True),
        sa.Column("word", sa.String(32), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
    )
    op.create_table(
        "drift_verdicts",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("reference", sa.Integer, nullable=False),
        sa.Column("until", sa.Integer),
        sa.Column("restarted_at", sa.Integer),
        sa.Column("document", sa.Text),
    )
    op.create_table(
        "drift_answers",
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("finding", sa.String(64), primary_key=True),
        sa.Column("study_key", sa.String(128), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("says_positive", sa.Boolean, nullable=False),
    )
    op.create_index("ix_drift_answers_at", "drift_answers", ["at"])
