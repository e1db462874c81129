"""Jobs that have ended, by state and time: what asks for a few of them passes by the millions that lie before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "jobs_ended", "jobs", ["state", "finished_at"], sqlite_where=ENDED, postgresql_where=ENDED
    )
    op.create_index(
        "jobs_by_state", "jobs", ["state", "created_at", "id"], sqlite_where=ENDED, postgresql_where=ENDED
    )
    op.drop_index("jobs_to_purge", "jobs")
