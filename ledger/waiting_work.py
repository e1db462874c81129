"""What no worker begins for now, so that a budget holds: shadow tasks by application and role, until when, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from ledger.database import Database
from ledger.tables import shadow_outcomes, shadow_tasks, waiting_work


@dataclass(frozen=True, slots=True)
class Waiting:
    """Tasks of a role that a version is to read. What runs already goes on."""

    app: str
    role: str
    model: str
    until: datetime
    reason: str


class WaitingWork:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def hold(self, waiting: Sequence[Waiting]) -> bool:
        """Have this wait and nothing else; whether that is news."""
        if frozenset(waiting) == frozenset(self._rows()):
            return False
        with self._db.write() as connection:
            connection.execute(sa.delete(waiting_work))
            if waiting:
                connection.execute(sa.insert(waiting_work), [asdict(one) for one in waiting])
        return True

    def all(self) -> tuple[Waiting, ...]:
        """What waits at this moment, in order. It ends by itself, also if nobody says so."""
        rows = self._rows()
        if not rows:
            return ()
        with self._db.read() as connection:
            now = self._db.now(connection)
        return tuple(one for one in rows if one.until > now)

    def pending_by_role(self) -> Mapping[tuple[str, str], int]:
        """Pending tasks, those in hand among them, by (model, role)."""
        columns = (shadow_tasks.c.model, shadow_tasks.c.role)
        query = sa.select(*columns, sa.func.count()).where(shadow_tasks.c.state == "due").group_by(*columns)
        with self._db.read() as connection:
            return {(model, role): number for model, role, number in connection.execute(query)}

    def read_since(self, since: datetime) -> Mapping[str, int]:
        """How many tasks have ended since then, by model."""
        model = shadow_outcomes.c.model
        query = sa.select(model, sa.func.count()).where(shadow_outcomes.c.at >= since).group_by(model)
        with self._db.read() as connection:
            return {name: number for name, number in connection.execute(query)}

    def _rows(self) -> tuple[Waiting, ...]:
        return self._db.remembered("work that waits for a budget", self._read)

    def _read(self) -> tuple[Waiting, ...]:
        query = sa.select(waiting_work).order_by(waiting_work.c.app, waiting_work.c.role)
        with self._db.read() as connection:
            return tuple(Waiting(**row) for row in connection.execute(query).mappings())
