"""Replays: who had which version read studies of the past, and how far that has come."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.errors import ReplayNotFound
from ledger.audit import Audit
from ledger.batches import counts_of, number_of, take_back
from ledger.database import Database
from ledger.limits import require_fits
from ledger.replay_records import NewReplay, StoredReplay
from ledger.shadow_records import ShadowTask
from ledger.shadows import ShadowTasks, enqueue_shadows
from ledger.tables import replays

CANCELED: Final = "the replay was cancelled"
CANCEL_SIZE: Final = 200  # a transaction of many rows would keep callers waiting
ABOUT: Final = ("model", "champion", "candidate", "last", "since", "run")
SAME: Final = ("model", "champion", "candidate", "last", "since")


class Replays:
    """A replay begins, gets its tasks in short transactions, and is complete; a cancel ends what is left of it."""

    def __init__(self, database: Database, audit: Audit, shadows: ShadowTasks) -> None:
        self._db = database
        self._audit = audit
        self._shadows = shadows

    def begin(self, new: NewReplay, *, actor: str) -> tuple[StoredReplay, bool]:
        """Begin it, unless the same is under way, which is given then; returns whether it is new."""
        values = {name: getattr(new, name) for name in ABOUT}
        require_fits(replays, values | {"actor": actor})
        with self._db.write() as connection:
            self._db.serialise(connection, f"replays {new.model}")
            same = next((one for one in self._of_model(connection, new.model) if _is_same(one, new)), None)
            if same is not None:
                return same, False
            id, at = uuid.uuid4().hex, self._db.now(connection)
            row = {"id": id, "at": at, "actor": actor, "taken_back": 0, **values}
            connection.execute(sa.insert(replays).values(**row))
            detail = {"replay": id, **values, "since": new.since and new.since.isoformat()}
            self._audit.append_within(connection, actor, "replay.begin", new.model, detail)
            return self._one(connection, id), True

    def add(self, replay: str, tasks: Sequence[tuple[str, str, ShadowTask]]) -> bool:
        """Write some tasks, each with its job and the study's pseudonym; nothing of a replay that was cancelled.

        What the version was given before by this job, role and application is left alone. Whether it goes on.
        """
        with self._db.write() as connection:
            query = sa.select(replays.c.canceled_at).where(replays.c.id == replay)
            if connection.execute(self._db.held(query)).scalar_one() is not None:
                return False
            now = self._db.now(connection)
            for job_id, study_key, task in tasks:
                enqueue_shadows(self._db, connection, job_id, study_key, [task], now)
        return True

    def complete(self, replay: str, *, studies: int) -> StoredReplay:
        """All its tasks are written, of a window of so many studies: the others were known. The first call counts."""
        with self._db.write() as connection:
            asked = number_of(connection, replay)
            numbers = {"studies": studies, "known": studies - asked, "asked": asked}
            its = (replays.c.id == replay) & replays.c.asked.is_(None)
            connection.execute(sa.update(replays).where(its).values(**numbers))
            return self._one(connection, replay)

    def cancel(self, replay: str, *, actor: str) -> StoredReplay:
        """Take back what nobody has tried yet, so that another replay may ask for it; the rest ends as discarded.

        Once more changes nothing. Raises ReplayNotFound.
        """
        with self._db.write() as connection:
            found = self._one(connection, replay)
            if found.canceled_at is None and found.is_open:
                at = self._db.now(connection)
                connection.execute(sa.update(replays).where(replays.c.id == replay).values(canceled_at=at))
                detail = {"replay": replay}
                self._audit.append_within(connection, actor, "replay.cancel", found.about.model, detail)
            elif found.canceled_at is None:
                return found
        taken = CANCEL_SIZE
        while taken == CANCEL_SIZE:
            with self._db.write() as connection:
                taken = take_back(self._db, connection, replay, CANCEL_SIZE)
                more = {"taken_back": replays.c.taken_back + taken}
                connection.execute(sa.update(replays).where(replays.c.id == replay).values(**more))
        self._shadows.discard_batch(replay, found.about.model, actor=actor, reason=CANCELED)
        return self.get(replay)

    def get(self, replay: str) -> StoredReplay:
        """Raises ReplayNotFound."""
        with self._db.read() as connection:
            return self._one(connection, replay)

    def newest(self, limit: int, model: str | None = None) -> tuple[StoredReplay, ...]:
        """Newest first, of one model or of all."""
        query = sa.select(replays).order_by(replays.c.at.desc(), replays.c.id).limit(limit)
        with self._db.read() as connection:
            return _stored(connection, query if model is None else query.where(replays.c.model == model))

    def _of_model(self, connection: Connection, model: str) -> tuple[StoredReplay, ...]:
        open_ones = (replays.c.model == model) & replays.c.canceled_at.is_(None)
        query = sa.select(replays).where(open_ones).order_by(replays.c.at.desc())
        return _stored(connection, query)

    def _one(self, connection: Connection, replay: str) -> StoredReplay:
        found = _stored(connection, sa.select(replays).where(replays.c.id == replay))
        if not found:
            raise ReplayNotFound("no replay has that id")
        return found[0]


def _is_same(stored: StoredReplay, new: NewReplay) -> bool:
    return stored.is_open and all(getattr(stored.about, name) == getattr(new, name) for name in SAME)


def _stored(connection: Connection, query: sa.Select[Any]) -> tuple[StoredReplay, ...]:
    rows: Sequence[RowMapping] = connection.execute(query).mappings().all()
    counts = counts_of(connection, [row["id"] for row in rows])
    names = ("id", "at", "actor", "studies", "known", "asked", "canceled_at", "taken_back")
    return tuple(
        StoredReplay(
            **{name: row[name] for name in names},
            about=NewReplay(**{name: row[name] for name in ABOUT}),
            counts=counts[row["id"]],
        )
        for row in rows
    )
