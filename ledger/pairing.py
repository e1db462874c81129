"""How far pairs were taken, and how often what evidence takes of a model has changed: one row for each model."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.database import Database
from ledger.tables import pairing


def note_change(database: Database, connection: Connection, model: str) -> None:
    """Count a change of the model's pairs or truths, within a transaction."""
    first = {"model": model, "at": None, "changes": 0}
    connection.execute(database.insert_once(pairing, ("model",)), first)
    counted = {"changes": pairing.c.changes + 1}
    connection.execute(sa.update(pairing).where(pairing.c.model == model).values(**counted))


def note_taken(database: Database, connection: Connection, model: str, at: datetime) -> None:
    """Note up to which outcome pairs were taken, within a transaction."""
    first = {"model": model, "at": at, "changes": 0}
    connection.execute(database.insert_once(pairing, ("model",)), first)
    connection.execute(sa.update(pairing).where(pairing.c.model == model).values(at=at))


def taken_up_to(connection: Connection, model: str) -> datetime | None:
    at: datetime | None = connection.execute(sa.select(pairing.c.at).where(pairing.c.model == model)).scalar()
    return at
