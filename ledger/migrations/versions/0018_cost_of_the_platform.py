"""Costs of the platform's own replicas, hours whose events are gone, and work that waits for a budget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("cost_postings", sa.Column("deployment", sa.String(64), nullable=False, server_default=""))
    op.add_column("cost_hours", sa.Column("is_sealed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "waiting_work",
        sa.Column("app", sa.String(255), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("deliveries_ended", "deliveries", ["ended_at"])
