"""Critical findings that one version saw and another missed: kept with the job, and told as a stream.

Each has an audience: the caller, or the evidence store alone, as for the finding of a version that is not cleared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from canary.disclosure import Audience
from ledger.database import Database
from ledger.tables import escalations
from ledger.tenants import own_job


@dataclass(frozen=True, slots=True)
class EscalationEvent:
    """One escalation in the stream; `sequence` only grows, in the order in which readers can see them."""

    sequence: int
    at: datetime
    job_id: str
    detail: Mapping[str, Any]
    audience: Audience = Audience.CALLER


class Escalations:
    """Append only; the same escalation of a job is one, however often its reading is repeated."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, job_id: str, escalation: Mapping[str, Any], audience: Audience) -> bool:
        """Write it once; returns whether it was news. `escalation` names findings and versions, no patient."""
        digest = hashlib.sha256(json.dumps(dict(escalation), sort_keys=True).encode()).hexdigest()
        same = (escalations.c.job_id == job_id) & (escalations.c.digest == digest)
        with self._db.write() as connection:
            self._db.serialise(connection, "escalations")
            if connection.execute(sa.select(escalations.c.sequence).where(same)).first() is not None:
                return False
            last = connection.execute(sa.select(sa.func.max(escalations.c.sequence))).scalar() or 0
            row = {"sequence": last + 1, "at": self._db.now(connection), "job_id": job_id, "digest": digest}
            told = {"audience": Audience(audience).value, "detail": dict(escalation)}
            connection.execute(sa.insert(escalations).values(**row, **told))
        return True

    def of_job(
        self, job_id: str, audience: Audience | None = Audience.CALLER
    ) -> tuple[Mapping[str, Any], ...]:
        """The job's escalations for one audience, or for all with None; oldest first."""
        query = (
            sa.select(escalations.c.detail)
            .where((escalations.c.job_id == job_id) & _heard_by(audience))
            .order_by(escalations.c.sequence)
        )
        with self._db.read() as connection:
            return tuple(connection.execute(query).scalars())

    def since(
        self,
        cursor: int = 0,
        limit: int = 200,
        audience: Audience | None = Audience.CALLER,
        tenant: str | None = None,
    ) -> tuple[EscalationEvent, ...]:
        """What one audience may hear, or all with None, after the event with that sequence, oldest first.

        Of one tenant: the escalations of his jobs, and of the job whose reading answered one of his, under the name
        of his own job.
        """
        job = escalations.c.job_id if tenant is None else own_job(escalations.c.job_id, tenant)
        query = (
            sa.select(escalations, job.label("told_as"))
            .where((escalations.c.sequence > cursor) & _heard_by(audience) & job.is_not(None))
            .order_by(escalations.c.sequence)
            .limit(limit)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).mappings()
            return tuple(_event(row) for row in rows)


def _heard_by(audience: Audience | None) -> sa.ColumnElement[bool]:
    return sa.true() if audience is None else escalations.c.audience == audience.value


def _event(row: RowMapping) -> EscalationEvent:
    return EscalationEvent(
        row["sequence"], row["at"], row["told_as"], row["detail"], Audience(row["audience"])
    )
