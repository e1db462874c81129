"""Critical findings that one version saw and another missed: kept with the job, and told as a stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ledger.database import Database
from ledger.tables import escalations


@dataclass(frozen=True, slots=True)
class EscalationEvent:
    """One escalation in the stream; `sequence` only grows, in the order in which readers can see them."""

    sequence: int
    at: datetime
    job_id: str
    detail: Mapping[str, Any]


class Escalations:
    """Append only; the same escalation of a job is one, however often its reading is repeated."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, job_id: str, escalation: Mapping[str, Any], now: datetime) -> bool:
        """Write it once; returns whether it was news. `escalation` names findings and versions, no patient."""
        digest = hashlib.sha256(json.dumps(dict(escalation), sort_keys=True).encode()).hexdigest()
        known = (escalations.c.job_id == job_id) & (escalations.c.digest == digest)
        with self._db.write() as connection:
            self._db.serialise(connection, "escalations")
            if connection.execute(sa.select(escalations.c.sequence).where(known)).first() is not None:
                return False
            last = connection.execute(sa.select(sa.func.max(escalations.c.sequence))).scalar() or 0
            row = {"sequence": last + 1, "at": now, "job_id": job_id, "digest": digest}
            connection.execute(sa.insert(escalations).values(**row, detail=dict(escalation)))
        return True

    def of_job(self, job_id: str) -> tuple[Mapping[str, Any], ...]:
        """Oldest first."""
        query = (
            sa.select(escalations.c.detail)
            .where(escalations.c.job_id == job_id)
            .order_by(escalations.c.sequence)
        )
        with self._db.read() as connection:
            return tuple(connection.execute(query).scalars())

    def since(self, cursor: int = 0, limit: int = 200) -> tuple[EscalationEvent, ...]:
        """What came after the event with that sequence, oldest first; 0 is the beginning."""
        query = (
            sa.select(escalations)
            .where(escalations.c.sequence > cursor)
            .order_by(escalations.c.sequence)
            .limit(limit)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).mappings()
            return tuple(EscalationEvent(r["sequence"], r["at"], r["job_id"], r["detail"]) for r in rows)
