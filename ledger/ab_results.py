"""What the arms of an A/B test answered: decisions beside the results that came of them."""

from __future__ import annotations

import sqlalchemy as sa

from canary.ab_report import ArmReading
from ledger.database import Database
from ledger.decisions import ANSWERED, assigned_readings
from ledger.tables import EPOCH, decisions, jobs


class ABResults:
    """Reads only; pseudonyms only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def readings(self, model: str, salt: str) -> tuple[ArmReading, ...]:
        """Studies that were drawn under a salt, oldest first: by the drawn variant, without what does not count."""
        flagged = jobs.c.result["priority_flag"].as_boolean()
        columns = (decisions.c.arm, decisions.c.version, decisions.c.identity, decisions.c.role)
        query = (
            sa.select(*columns, decisions.c.latency_ms, flagged)
            .select_from(decisions.outerjoin(jobs, jobs.c.id == decisions.c.job_id))
            .where(assigned_readings(model, EPOCH, None) & (decisions.c.salt == salt) & decisions.c.counts)
            .order_by(decisions.c.at, decisions.c.job_id)
        )
        with self._db.read() as connection:
            return tuple(_reading(*row) for row in connection.execute(query))


def _reading(
    arm: str, version: str, identity: str, role: str, latency_ms: float | None, flagged: bool | None
) -> ArmReading:
    if role != ANSWERED:
        return ArmReading(arm, version, identity, False)
    return ArmReading(arm, version, identity, True, latency_ms, flagged)
