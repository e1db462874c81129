"""Keys in the ledger, lists of one tenant's jobs, and whether a job was answered by another tenant's reading."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(128), nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("last_used_on", sa.Date),
    )
    op.add_column("jobs", sa.Column("same_as_foreign", sa.Boolean))
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "created_at", "id"])
    answered = sa.text("same_as IS NOT NULL")
    op.create_index("jobs_by_same_as", "jobs", ["same_as"], sqlite_where=answered, postgresql_where=answered)
    op.execute(
        "UPDATE jobs SET same_as_foreign = (tenant <> "
        "COALESCE((SELECT other.tenant FROM jobs AS other WHERE other.id = jobs.same_as), '')) "
        "WHERE same_as IS NOT NULL"
    )
