"""Recalls as people see them: which lists there are, an order over a whole list, and the details of some items.

Of a study's UIDs only the job knows; a list whose jobs are no longer kept names its studies no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.recall import Difference, FindingChange, RecallRank, RecallState
from core.codec import from_plain
from core.errors import RecallNotFound
from ledger.database import Database
from ledger.recall_records import Recall, RecallItem, SentDocument
from ledger.recalls import IS_ITEM, recall_of
from ledger.tables import deliveries, jobs, recall_items, recall_notes, recalls

STOW: Final = (
    "stow"  # the only delivery of another job that is told: where the document lies that was not made again
)
_RANKED: Final = (
    *("id", "state", "answered_at", "difference", "delivered_missed", "score_change", "closed_at"),
)


class RecallLists:
    """Reads only. With a `tenant` only the items of its jobs; None: all."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_model(self, model: str) -> tuple[Recall, ...]:
        """The newest first."""
        query = sa.select(recalls).where(recalls.c.model == model)
        newest = query.order_by(recalls.c.made_at.desc(), recalls.c.id)
        with self._db.read() as connection:
            return tuple(recall_of(row) for row in connection.execute(newest).mappings())

    def get(self, model: str, *, run: int | None = None, recall: str | None = None) -> Recall:
        """The list of a run, or of that id, else the newest. Raises RecallNotFound."""
        for one in self.of_model(model):
            if run in (None, one.run) and recall in (None, one.id):
                return one
        raise RecallNotFound("there is no such recall of that model")

    def ranks(self, recall: str, *, tenant: str | None) -> tuple[RecallRank, ...]:
        """What the order of all items follows from."""
        query = sa.select(*(recall_items.c[name] for name in _RANKED)).where(_of(recall, tenant))
        with self._db.read() as connection:
            return tuple(_rank(row) for row in connection.execute(query).mappings())

    def items(self, ids: Collection[str]) -> Mapping[str, RecallItem]:
        """The items of those ids, by id, with the study and where its documents went."""
        query = (
            sa.select(recall_items, jobs.c.study_uid, jobs.c.result, recall_notes.c.note)
            .outerjoin(jobs, jobs.c.id == recall_items.c.job_id)
            .outerjoin(recall_notes, recall_notes.c.item_id == recall_items.c.id)
            .where(recall_items.c.id.in_(list(ids)))
        )
        with self._db.read() as connection:
            rows = connection.execute(query).mappings().all()
            members = _members(connection, rows)
            sent = _sent(connection, members)
        return {row["id"]: _item(row, [one for one in members if _is_of(one, row)], sent) for row in rows}


def _of(recall: str, tenant: str | None) -> sa.ColumnElement[bool]:
    own = sa.true() if tenant is None else recall_items.c.tenant == tenant
    return (recall_items.c.recall_id == recall) & IS_ITEM & own


def _members(connection: Connection, rows: Collection[RowMapping]) -> list[RowMapping]:
    """The jobs of the items' studies, those among them whose answer is no item of its own."""
    names = ("id", "recall_id", "tenant", "study_key", "job_id", "reading_id")
    lists, studies = {row["recall_id"] for row in rows}, {row["study_key"] for row in rows}
    query = sa.select(*(recall_items.c[name] for name in names)).where(
        recall_items.c.recall_id.in_(sorted(lists)) & recall_items.c.study_key.in_(sorted(studies))
    )
    return list(connection.execute(query).mappings())


def _is_of(member: RowMapping, item: RowMapping) -> bool:
    names = ("recall_id", "tenant", "study_key")
    is_same_study = item["study_key"] != "" and all(member[name] == item[name] for name in names)
    return is_same_study or member["id"] == item["id"]


def _sent(connection: Connection, rows: Collection[RowMapping]) -> list[RowMapping]:
    ids = {row["job_id"] for row in rows} | {row["reading_id"] for row in rows}
    names = ("job_id", "kind", "document", "lane", "state", "created_at", "ended_at")
    query = (
        sa.select(*(deliveries.c[name] for name in names))
        .where(deliveries.c.job_id.in_(sorted(ids)))
        .order_by(deliveries.c.created_at, deliveries.c.id)
    )
    return list(connection.execute(query).mappings())


def _item(row: RowMapping, members: Collection[RowMapping], sent: Collection[RowMapping]) -> RecallItem:
    own = {one["job_id"] for one in members}
    read = {one["reading_id"] for one in members} - own
    told = [one for one in sent if one["job_id"] in own or (one["job_id"] in read and one["kind"] == STOW)]
    changes = (from_plain(FindingChange, change) for change in row["changes"])
    names = ("job_id", "tenant", "variant", "champion", "reread_at", "error_code", "study_uid")
    return RecallItem(
        rank=_rank(row),
        **{name: row[name] for name in (*names, "closed_at", "closed_by", "note")},
        changes=tuple(changes),
        sr_uid=(row["result"] or {}).get("sr_sop_instance_uid"),
        documents=tuple(_document(one) for one in told),
    )


def _document(row: RowMapping) -> SentDocument:
    at = row["ended_at"] or row["created_at"]
    return SentDocument(row["document"] or row["kind"], row["lane"], row["state"], at)


def _rank(row: RowMapping | Mapping[str, Any]) -> RecallRank:
    difference = row["difference"]
    return RecallRank(
        item=row["id"],
        state=RecallState(row["state"]),
        answered_at=row["answered_at"],
        difference=None if difference is None else Difference(difference),
        delivered_missed=row["delivered_missed"],
        score_change=row["score_change"],
        is_closed=row["closed_at"] is not None,
    )
