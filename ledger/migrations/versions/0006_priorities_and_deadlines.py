"""What a site's rules made of a job's priority, and when its caller needs the answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("asked_priority", sa.String(16)))
    op.add_column("jobs", sa.Column("priority_rule", sa.String(64)))
    op.add_column("jobs", sa.Column("deadline_s", sa.Float))
    op.add_column("jobs", sa.Column("deadline", sa.BigInteger))
