"""Where each alias has pointed: MLflow keeps no history, so we do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.tables import transitions

REGISTRY = "registry"  # who moves an alias in MLflow's pages is not told to us


@dataclass(frozen=True, slots=True)
class Transition:
    """An alias that moved: None stands for no version. `generation` is that of the table that came of it."""

    sequence: int
    at: datetime
    model: str
    alias: str
    old: str | None
    new: str | None
    generation: int
    reason: str


class Transitions:
    """Append only, each with its row in the audit."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def record(
        self,
        model: str,
        alias: str,
        old: str | None,
        new: str | None,
        *,
        generation: int,
        reason: str,
        actor: str = REGISTRY,
    ) -> bool:
        """Write that the alias moved; returns whether that was news, which it is once."""
        if old == new:
            return False
        detail = {"alias": alias, "old": old, "new": new, "generation": generation, "reason": reason}
        with self._db.write() as connection:
            self._db.serialise(connection, "transitions")
            if self._stands_at(connection, model, alias, new):
                return False
            last = connection.execute(sa.select(sa.func.max(transitions.c.sequence))).scalar() or 0
            row = {"sequence": last + 1, "at": self._db.now(connection), "model": model, **detail}
            require_fits(transitions, row)
            connection.execute(sa.insert(transitions).values(**row))
            self._audit.append_within(connection, actor, "alias-moved", model, detail)
        return True

    def history(self, model: str, limit: int = 100) -> tuple[Transition, ...]:
        """Newest first."""
        query = (
            sa.select(transitions)
            .where(transitions.c.model == model)
            .order_by(transitions.c.sequence.desc())
            .limit(limit)
        )
        with self._db.read() as connection:
            return tuple(Transition(**row) for row in connection.execute(query).mappings())

    def _stands_at(self, connection: Connection, model: str, alias: str, new: str | None) -> bool:
        """Whether the alias's last transition led there."""
        query = (
            sa.select(transitions.c.new)
            .where((transitions.c.model == model) & (transitions.c.alias == alias))
            .order_by(transitions.c.sequence.desc())
            .limit(1)
        )
        last = connection.execute(query).first()
        return last is not None and last[0] == new
