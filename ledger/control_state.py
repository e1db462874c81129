"""The controller's state in one row: who leads, and the last snapshot, ordered by (epoch, generation).

take_leadership ──► epoch n ──publish──► (n, 1) ──publish──► (n, 2)
                                             a newer leader: epoch n + 1; whatever n still publishes is refused
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from core.errors import CorruptControlState, LeadershipLost
from ledger.database import Database
from ledger.limits import require_fits
from ledger.tables import control_state, routing_site

ONE: Final = 1


@dataclass(frozen=True, slots=True)
class ControlRecord:
    """The last published snapshot, and the reconciler states that led to it; both as JSON text."""

    epoch: int
    generation: int
    snapshot_json: str
    states_json: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class ControlHead:
    """What a router asks for again and again. (`epoch`, `generation`) is the published snapshot's; (0, 0): none is.

    `renewed_at` is when the controller last said that it leads; `at` is the database's time of this look.
    """

    epoch: int
    generation: int
    routing_revision: int
    frozen: bool
    leader_epoch: int
    renewed_at: datetime | None
    at: datetime


class ControlState:
    """One leader, the newest wins. What is unreadable is an error and never an empty state."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def take_leadership(self, holder: str, at_least: int = 0) -> int:
        """Lead from now on; returns an epoch above every one before.

        `at_least` is for a ledger that was restored from a backup: one above the highest epoch that a router knows.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, "control")
            last = connection.execute(sa.select(control_state.c.leader_epoch)).scalar()
            epoch = max((last or 0) + 1, at_least)
            values = {"leader_epoch": epoch, "holder": holder, "renewed_at": self._db.now(connection)}
            require_fits(control_state, values)
            if last is None:
                first = {"id": ONE, "epoch": 0, "generation": 0}
                connection.execute(sa.insert(control_state).values(**values, **first))
            else:
                connection.execute(sa.update(control_state).values(**values))
        return epoch

    def renew_leadership(self, epoch: int) -> bool:
        """Whether this epoch still leads."""
        leads = control_state.c.leader_epoch == epoch
        with self._db.write_unsynced() as connection:  # a machine that falls takes its leader with it
            values = {"renewed_at": self._db.now(connection)}
            return connection.execute(sa.update(control_state).where(leads).values(**values)).rowcount == 1

    def publish(self, epoch: int, generation: int, snapshot_json: str, states_json: str) -> None:
        """Put the snapshot in the place of the last one.

        Raises LeadershipLost when a newer epoch leads, or when this one has published a newer generation.
        """
        newer = (control_state.c.epoch < epoch) | (control_state.c.generation <= generation)
        mine = (control_state.c.leader_epoch == epoch) & newer
        with self._db.write() as connection:
            now = self._db.now(connection)
            values = {
                "epoch": epoch,
                "generation": generation,
                "snapshot": snapshot_json,
                "states": states_json,
                "digest": _digest(epoch, generation, snapshot_json, states_json),
                "published_at": now,
                "renewed_at": now,
            }
            if connection.execute(sa.update(control_state).where(mine).values(**values)).rowcount != 1:
                raise LeadershipLost(f"epoch {epoch} does not lead any more")

    def load(self) -> ControlRecord | None:
        """The last published snapshot; None when there is none. Raises CorruptControlState."""
        with self._db.read() as connection:
            row = connection.execute(sa.select(control_state)).mappings().first()
        if row is None or row["digest"] is None:
            return None
        texts = (row["snapshot"], row["states"])
        if row["digest"] != _digest(row["epoch"], row["generation"], *texts) or not all(map(_is_json, texts)):
            raise CorruptControlState("the control state in the ledger is not what was written")
        return ControlRecord(row["epoch"], row["generation"], *texts, published_at=row["published_at"])

    def head(self) -> ControlHead:
        """What is asked for several times a second: two rows by their keys, and no document.

        Of an SQLite ledger that nobody has written to since, the last answer is repeated, with the time of now.
        """
        head = self._db.remembered("control head", self._read_head)
        return replace(head, at=self._db.local_now()) if self._db.is_sqlite else head

    def mark(self) -> object:
        """What differs from the last mark once anybody has written; None where that cannot be told.

        Raises LedgerUnavailable.
        """
        return self._db.mark()

    def _read_head(self) -> ControlHead:
        with self._db.read() as connection:
            row = connection.execute(_HEAD).mappings().one()
            at = self._db.now(connection)
        return ControlHead(
            epoch=row["epoch"] or 0,
            generation=row["generation"] or 0,
            routing_revision=row["revision"] or 0,
            frozen=row["freeze"] is not None,
            leader_epoch=row["leader_epoch"] or 0,
            renewed_at=row["renewed_at"],
            at=at,
        )


def _head() -> sa.Select[Any]:
    """One row always, also of an empty ledger."""
    one = sa.select(sa.literal(ONE).label("one")).subquery()
    site = sa.select(routing_site.c.revision, routing_site.c.freeze).subquery()
    columns = ("epoch", "generation", "leader_epoch", "renewed_at")
    control = sa.select(*(control_state.c[name] for name in columns)).subquery()
    both = one.outerjoin(site, sa.true()).outerjoin(control, sa.true())
    return sa.select(site, control).select_from(both)


_HEAD: Final = _head()


def _digest(epoch: int, generation: int, snapshot: str, states: str) -> str:
    body = json.dumps([epoch, generation, snapshot, states])
    return hashlib.sha256(body.encode()).hexdigest()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
