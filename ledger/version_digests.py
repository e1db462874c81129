"""By which artifact a version of a model read: the digests that its readings were stamped with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ledger.database import Database
from ledger.tables import decisions


@dataclass(frozen=True, slots=True)
class StampedDigest:
    """Readings of one version in one role by one artifact. `role` is as `DecisionRow` has it."""

    version: str
    digest: str
    role: str
    readings: int
    first_at: datetime
    last_at: datetime


class VersionDigests:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of(
        self, model: str, versions: Iterable[str], since: datetime, until: datetime
    ) -> tuple[StampedDigest, ...]:
        """By version, digest and role. A version that keeps to its artifact has one digest."""
        group = decisions.c.version, decisions.c.digest, decisions.c.role
        at = decisions.c.at
        query = (
            sa.select(*group, sa.func.count(), sa.func.min(at), sa.func.max(at))
            .where((decisions.c.model == model) & (at >= since) & (at < until))
            .where(decisions.c.version.in_(sorted(versions)))
            .group_by(*group)
            .order_by(*group)
        )
        with self._db.read() as connection:
            return tuple(StampedDigest(*row) for row in connection.execute(query))
