"""What a decision was made of, so that it can be computed again: the study's facts and the routing table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("decisions", sa.Column("facts", sa.Text))
    op.add_column("decisions", sa.Column("table_digest", sa.String(64)))
    op.create_table(
        "routing_tables",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
