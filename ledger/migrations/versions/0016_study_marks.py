"""How far each study has come with a model, for the funnel and the turnaround."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "study_marks",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("study_key", sa.String(128), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.String(16)),
        sa.Column("seconds", sa.Float),
        sa.Column("trace_id", sa.String(32)),
        sa.UniqueConstraint("study_key", "model", "step"),
        sqlite_autoincrement=True,
    )
    op.create_index("study_marks_by_time", "study_marks", ["at"])
