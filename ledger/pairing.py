"""How far pairs were taken, and how what evidence takes of a model has changed: one row for each model.

A change adds behind all that was there, or it rewrites. Whoever took all up to the latest change goes on behind it
while nothing was rewritten. A change whose time is not later than the latest one's, as after the clock went back or
when two transactions overtake each other, counts as a rewrite: so what was added always stands behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.tables import UtcTime, pairing

SETTLED: Final = timedelta(
    minutes=1
)  # far longer than a transaction may take: no older row is still to appear


@dataclass(frozen=True, slots=True)
class PairingMark:
    """How the pairs and truths of a model stand: `at` is the latest change, None before the first.

    What was known at `at` stays as it was while `rewrites` does.
    """

    rewrites: int = 0
    at: datetime | None = None


def note_change(
    database: Database, connection: Connection, model: str, at: datetime, *, rewrites: bool
) -> None:
    """Count a change of the model's pairs or truths, within a transaction. `at` is the time that its rows bear."""
    first = {"model": model, "at": None, "changes": 0, "rewrites": 0, "changed_at": None}
    connection.execute(database.insert_once(pairing, ("model",)), first)
    connection.execute(_REWRITTEN if rewrites else _ADDED, {"this_model": model, "this_at": at})


def note_purge(connection: Connection) -> None:
    """Count that rows were deleted, of whichever models, within a transaction."""
    more = {"changes": pairing.c.changes + 1, "rewrites": pairing.c.rewrites + 1}
    connection.execute(sa.update(pairing).values(**more))


def note_taken(database: Database, connection: Connection, model: str, at: datetime) -> None:
    """Note up to which outcome pairs were taken, within a transaction."""
    first = {"model": model, "at": at, "changes": 0, "rewrites": 0, "changed_at": None}
    connection.execute(database.insert_once(pairing, ("model",)), first)
    connection.execute(sa.update(pairing).where(pairing.c.model == model).values(at=at))


def taken_up_to(connection: Connection, model: str) -> datetime | None:
    at: datetime | None = connection.execute(sa.select(pairing.c.at).where(pairing.c.model == model)).scalar()
    return at


def mark_of(connection: Connection, model: str) -> PairingMark:
    query = sa.select(pairing.c.rewrites, pairing.c.changed_at).where(pairing.c.model == model)
    row = connection.execute(query).first()
    return PairingMark() if row is None else PairingMark(*row)


_AT: Final = sa.bindparam("this_at", type_=UtcTime())
_IS_LATER: Final = sa.or_(pairing.c.changed_at.is_(None), pairing.c.changed_at < _AT)
_OF_MODEL: Final = sa.update(pairing).where(pairing.c.model == sa.bindparam("this_model"))
_LATEST: Final = {
    pairing.c.changes: pairing.c.changes + 1,
    pairing.c.changed_at: sa.case((_IS_LATER, _AT), else_=pairing.c.changed_at),
}
_ADDED: Final = _OF_MODEL.values(
    {**_LATEST, pairing.c.rewrites: pairing.c.rewrites + sa.case((_IS_LATER, 0), else_=1)}
)
_REWRITTEN: Final = _OF_MODEL.values({**_LATEST, pairing.c.rewrites: pairing.c.rewrites + 1})
