"""The adjudication queue: what is open, told without the versions, and the answer, which becomes a truth."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.adjudication import PairKey, blinded_arms
from canary.truth import TruthLabel, TruthSource
from core.errors import AdjudicationNotFound, AlreadyAnswered
from ledger.database import Database
from ledger.tables import jobs, paired_readings, truth_notes, truths
from ledger.truth_records import AnsweredAdjudication, NewTruth, OpenAdjudication, StoredTruth
from ledger.truths import Truths, stored_truth


class Adjudications:
    """Items of the queue. Who said what is told with the answer, and never before it."""

    def __init__(self, database: Database, truths: Truths) -> None:
        self._db = database
        self._truths = truths

    def open_items(
        self, model: str, versions: Collection[str], limit: int, *, tenant: str | None
    ) -> tuple[OpenAdjudication, ...]:
        """What waits for an answer about pairs of these versions, oldest first: one tenant's, or all with None.

        An item whose job is no longer kept cannot be named, and is left out.
        """
        names = ("id", "model", "finding", "meaning", "open_since")
        query = (
            sa.select(jobs.c.study_uid, *(paired_readings.c[name] for name in names))
            .join(jobs, jobs.c.id == paired_readings.c.job_id)
            .where(_open(model, versions, tenant))
            .order_by(paired_readings.c.open_since, paired_readings.c.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            return tuple(OpenAdjudication(**row) for row in connection.execute(query).mappings())

    def open_number(self, model: str, versions: Collection[str], *, tenant: str | None) -> int:
        """How many items `open_items` would tell."""
        query = (
            sa.select(sa.func.count())
            .select_from(paired_readings)
            .join(jobs, jobs.c.id == paired_readings.c.job_id)
            .where(_open(model, versions, tenant))
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def answer(
        self,
        item: str,
        label: TruthLabel,
        *,
        reader: str,
        read_at: datetime,
        note: str | None,
        tenant: str | None,
        actor: str,
    ) -> AnsweredAdjudication:
        """Keep the answer as a truth, and tell who had said what.

        The same answer of the same reader again changes nothing. Raises AdjudicationNotFound for no item of the
        tenant, AlreadyAnswered for another answer: whoever was told the arms reads blindly no more.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, "truths")
            row = self._item(connection, item, tenant)
            if row["answered_at"] is not None:
                return self._repeated(connection, row, label, reader)
            values = {"open_since": None, "answered_at": self._db.now(connection)}
            this = paired_readings.c.id == item
            connection.execute(sa.update(paired_readings).where(this).values(**values))
            new = NewTruth(
                tenant=row["tenant"],
                study_key=row["study_key"],
                model=row["model"],
                finding=row["finding"],
                source=TruthSource.ADJUDICATION,
                reader=reader,
                read_at=read_at,
                label=label,
                note=note,
                pair_id=item,
            )
            added = self._truths.add_within(connection, new, actor)
        return _answered(row, added.truth)

    def _item(self, connection: Connection, item: str, tenant: str | None) -> RowMapping:
        query = sa.select(paired_readings).where(paired_readings.c.id == item)
        row = connection.execute(self._db.held(query)).mappings().first()
        if row is None or not row["is_selected"] or tenant not in (None, row["tenant"]):
            raise AdjudicationNotFound("no item of the queue has that id")
        return row

    def _repeated(
        self, connection: Connection, row: RowMapping, label: TruthLabel, reader: str
    ) -> AnsweredAdjudication:
        about = (truths.c.study_key == row["study_key"]) & (truths.c.pair_id == row["id"])
        query = (
            sa.select(truths, truth_notes.c.note)
            .outerjoin(truth_notes, truth_notes.c.truth_id == truths.c.id)
            .where(about & truths.c.withdrawn_at.is_(None))
        )
        found = connection.execute(query).mappings().first()
        if found is None or (found["label"], found["reader"]) != (label.value, reader):
            raise AlreadyAnswered("the item is answered already; withdraw that truth to have it read again")
        return _answered(row, stored_truth(found))


def _open(model: str, versions: Collection[str], tenant: str | None) -> sa.ColumnElement[bool]:
    pair = paired_readings.c.champion.in_(versions) & paired_readings.c.candidate.in_(versions)
    own = sa.true() if tenant is None else paired_readings.c.tenant == tenant
    return (paired_readings.c.model == model) & paired_readings.c.open_since.is_not(None) & pair & own


def _answered(row: RowMapping, truth: StoredTruth) -> AnsweredAdjudication:
    names = ("model", "finding", "champion", "candidate", "patient")
    arms = blinded_arms(PairKey(**{name: row[name] for name in names}))
    said = {row["champion"]: row["champion_says"], row["candidate"]: row["candidate_says"]}
    return AnsweredAdjudication(
        row["id"], truth, {arm: (version, said[version]) for arm, version in arms.items()}
    )
