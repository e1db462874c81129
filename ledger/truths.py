"""What was really there, as it is told: append only, so that the history of a study's truths stays.

A truth names its study by pseudonym, so it is kept also for a study that nobody has read yet. The same truth told
again changes nothing; one that is withdrawn stays, and does not come back by being told again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.truth import Truth, TruthLabel, TruthSource
from core.errors import TruthNotFound
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.pairing import note_change
from ledger.study_marks import add_marks
from ledger.tables import microseconds, paired_readings, truth_notes, truths
from ledger.truth_records import AddedTruth, NewTruth, StoredTruth
from observability.metrics.funnel import Step, StudyMark

ID_LENGTH: Final = 32
PLAIN: Final = (
    *("tenant", "study_key", "model", "finding", "label", "value", "unit", "source", "reader"),
    *("read_at", "pair_id"),
)


class Truths:
    """Adds and withdraws truths; each change is audited, without the study, the label and the reader."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def add(self, new: NewTruth, *, actor: str) -> AddedTruth:
        """Keep a truth, once. Raises InvalidField for a text that does not fit."""
        known = self._find(truth_id(new))
        if known is not None:
            return AddedTruth(known, False)
        with self._db.write() as connection:
            return self.add_within(connection, new, actor)

    def add_within(self, connection: Connection, new: NewTruth, actor: str) -> AddedTruth:
        """Keep a truth within a transaction, of which it is the last thing done."""
        self._db.serialise(connection, "truths")
        row = {name: getattr(new, name) for name in PLAIN} | {"id": truth_id(new)}
        require_fits(truths, row)
        found = connection.execute(_SELECTED.where(truths.c.id == row["id"])).mappings().first()
        if found is not None:
            return AddedTruth(stored_truth(found), False)
        row |= {"sequence": _next(connection), "at": self._db.now(connection), "withdrawn_at": None}
        is_another = connection.execute(_of_the_same(new).limit(1)).first() is not None
        connection.execute(sa.insert(truths).values(**row))
        if new.note is not None:
            note = {"truth_id": row["id"], "at": row["at"], "note": new.note}
            require_fits(truth_notes, note)
            connection.execute(sa.insert(truth_notes).values(**note))
        add_marks(self._db, connection, [StudyMark(new.study_key, new.model, Step.CONFIRMED)], row["at"])
        note_change(self._db, connection, new.model, row["at"], rewrites=is_another)
        told = {"model": new.model, "finding": new.finding, "source": new.source.value}
        if new.pair_id is not None:
            told["adjudication"] = new.pair_id
        self._audit.append_within(connection, actor, "truth.add", row["id"], told)
        return AddedTruth(stored_truth({**row, "note": new.note}), True)

    def withdraw(self, truth: str, study_key: str, *, tenant: str | None, actor: str) -> StoredTruth:
        """From now on the truth counts no more. An item of the queue that it had answered waits for another answer.

        Raises TruthNotFound if there is none of that id, study and tenant; None: of any tenant.
        """
        this = (truths.c.id == truth) & (truths.c.study_key == study_key) & _of_tenant(tenant)
        with self._db.write() as connection:
            self._db.serialise(connection, "truths")
            row = connection.execute(_SELECTED.where(this)).mappings().first()
            if row is None:
                raise TruthNotFound("no truth of that study has that id")
            if row["withdrawn_at"] is not None:
                return stored_truth(row)
            at = self._db.now(connection)
            connection.execute(sa.update(truths).where(truths.c.id == truth).values(withdrawn_at=at))
            if row["pair_id"] is not None:
                answered = paired_readings.c.id == row["pair_id"]
                again = sa.update(paired_readings).where(answered).values(open_since=at, answered_at=None)
                connection.execute(again)
            note_change(self._db, connection, row["model"], at, rewrites=True)
            told = {"model": row["model"], "finding": row["finding"], "source": row["source"]}
            self._audit.append_within(connection, actor, "truth.withdraw", truth, told)
        return stored_truth({**row, "withdrawn_at": at})

    def of_study(self, study_key: str, *, tenant: str | None) -> tuple[StoredTruth, ...]:
        """All that was told of a study by one tenant, or by all with None, in the order in which it was told."""
        query = _SELECTED.where((truths.c.study_key == study_key) & _of_tenant(tenant))
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(truths.c.sequence)).mappings()
            return tuple(stored_truth(row) for row in rows)

    def _find(self, truth: str) -> StoredTruth | None:
        with self._db.read() as connection:
            row = connection.execute(_SELECTED.where(truths.c.id == truth)).mappings().first()
        return None if row is None else stored_truth(row)


def truth_id(new: NewTruth) -> str:
    """Names what is told: the same truth has the same name, whenever and however often it is told."""
    told = {name: getattr(new, name) for name in PLAIN} | {
        "note": new.note,
        "read_at": microseconds(new.read_at),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:ID_LENGTH]


def truth_of(row: RowMapping | Mapping[str, Any]) -> Truth:
    """What counts of a row of `truths`."""
    return Truth(
        source=TruthSource(row["source"]),
        read_at=row["read_at"],
        received_at=row["at"],
        sequence=row["sequence"],
        label=None if row["label"] is None else TruthLabel(row["label"]),
        value=row["value"],
        withdrawn_at=row["withdrawn_at"],
        from_queue=row["pair_id"] is not None,
    )


def stored_truth(row: RowMapping | Mapping[str, Any]) -> StoredTruth:
    names = ("id", "tenant", "study_key", "model", "finding", "unit", "reader", "note", "pair_id")
    return StoredTruth(told=truth_of(row), **{name: row[name] for name in names})


def _of_the_same(new: NewTruth) -> sa.Select[tuple[str]]:
    """What was told before of the finding of the study: a further truth may take the place of one of these."""
    of_study = (truths.c.study_key == new.study_key) & (truths.c.tenant == new.tenant)
    of_finding = (truths.c.model == new.model) & (truths.c.finding == new.finding)
    return sa.select(truths.c.id).where(of_study & of_finding)


def _next(connection: Connection) -> int:
    return (connection.execute(sa.select(sa.func.max(truths.c.sequence))).scalar() or 0) + 1


def _of_tenant(tenant: str | None) -> sa.ColumnElement[bool]:
    return sa.true() if tenant is None else truths.c.tenant == tenant


_SELECTED: Final = sa.select(truths, truth_notes.c.note).outerjoin(
    truth_notes, truth_notes.c.truth_id == truths.c.id
)
