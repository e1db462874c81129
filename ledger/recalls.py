"""Recalls: made once for each withdrawal of a version, filled as its studies are found, closed item by item.

A study of a tenant is on a list once, however many jobs asked for it and however often the ledger is looked through:
the newest answer is its item, and the rows of its other jobs are joined to that. An item that was compared or closed
stays so until another answer takes its place. No study, finding or note stands in the audit.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.recall import WITHDRAWN, Difference, RecallState, needs_person
from canary.rollout.status import RolloutPhase
from core.codec import to_plain
from core.errors import RecallItemClosed, RecallItemNotFound
from ledger.audit import Audit
from ledger.database import Database
from ledger.limits import require_fits
from ledger.recall_records import (
    ComparedItem,
    NewRecall,
    NewRecallItem,
    OpenRecall,
    Recall,
    RecalledStudy,
    WithdrawnRun,
)
from ledger.tables import recall_items, recall_notes, recalls, rollouts

NOT_KEPT: Final = "not-kept"  # why a study cannot be read again: its job, or what was delivered, is gone
ONCE: Final = ("recall_id", "job_id")
JOINED: Final = "joined"  # the state of a row whose study another row stands for
IS_ITEM: Final = recall_items.c.state != JOINED
NAMES: Final = tuple(Recall.__dataclass_fields__)
_AS_JOINED: Final = {"state": JOINED, "open_since": None}
TO_READ: Final = (  # what a person has closed is not read again
    recall_items.c.state == RecallState.PENDING.value
) & recall_items.c.open_since.is_not(None)


class Recalls:
    """Makes, fills and closes; `RecallLists` tells people, `RecalledStudies` finds what belongs."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def unmade(self) -> tuple[WithdrawnRun, ...]:
        """Runs that went back, and of which there is no list. Cheap while there are none."""
        return self._db.remembered("runs without a recall", self._unmade)

    def under_way(self) -> tuple[Recall, ...]:
        """Lists onto which a study may still come, or of which one has still to be read again."""
        return self._db.remembered("recalls under way", self._under_way)

    def make(self, new: NewRecall, *, actor: str) -> tuple[Recall, bool]:
        """Begin the list, once: of a run, or of a version since the same time. Returns it, and whether it is new."""
        with self._db.write() as connection:
            self._db.serialise(connection, f"recall/{new.model}")
            known = connection.execute(sa.select(recalls).where(_same(new))).mappings().first()
            if known is not None:
                return recall_of(known), False
            now = self._db.now(connection)
            row = {name: getattr(new, name) for name in NewRecall.__dataclass_fields__} | {
                "id": uuid.uuid4().hex,
                "made_at": now,
                "made_by": actor,
                "taken_up_to": new.since,
                "is_complete": False,
            }
            require_fits(recalls, row)
            connection.execute(sa.insert(recalls).values(**row))
            detail = {"recall": row["id"], "version": new.version, "run": new.run}
            self._audit.append_within(connection, actor, "recall", new.model, detail)
        return recall_of(row), True

    def add(self, recall: str, items: Sequence[NewRecallItem]) -> int:
        """Put the answers of jobs onto a list; one that is there stays as it is. Returns how many are new."""
        if not items:
            return 0
        with self._db.write() as connection:
            self._db.serialise(connection, f"recall-items/{recall}")
            at = self._db.now(connection)
            insert = self._db.insert_once(recall_items, ONCE).returning(recall_items.c.id)
            listed = _listed(connection, recall, items)
            added = 0
            for item in items:
                row, now_stands = _new_row(recall, item, at), listed.get(_study_of(item.study))
                takes_place = now_stands is not None and _takes_place(row, now_stands)
                if now_stands is not None and not takes_place:
                    row |= _AS_JOINED
                if connection.execute(insert, row).first() is None:
                    continue
                added += 1
                if now_stands is not None and takes_place:
                    join = sa.update(recall_items).where(recall_items.c.id == now_stands["id"])
                    connection.execute(join.values(**_AS_JOINED))
                if now_stands is None or takes_place:
                    listed[_study_of(item.study)] = row
            return added

    def taken(self, recall: str, up_to: datetime, *, is_complete: bool) -> None:
        """Note up to when the list holds what the version answered."""
        values = {"taken_up_to": up_to, "is_complete": is_complete}
        with self._db.write_unsynced() as connection:
            connection.execute(sa.update(recalls).where(recalls.c.id == recall).values(**values))

    def compared(self, found: Sequence[ComparedItem]) -> None:
        """Keep what the champion says, and how that differs. An item that is no longer pending stays as it is."""
        with self._db.write() as connection:
            at = self._db.now(connection)
            for one in found:
                difference = one.comparison.difference
                values = {
                    "state": RecallState.COMPARED.value,
                    "difference": difference.value,
                    "delivered_missed": one.comparison.delivered_missed,
                    "score_change": one.comparison.score_change,
                    "changes": [to_plain(change) for change in one.comparison.changes],
                    "champion": one.reread.champion,
                    "reread": dict(one.reread.outcome or {}),
                    "reread_at": at,
                }
                if not needs_person(difference):
                    values["open_since"] = None
                connection.execute(_pending(one.reread.item).values(**values))

    def unreadable(self, codes: Mapping[str, str]) -> None:
        """Keep why items cannot be read again, by the item's id; a person has to look at them."""
        with self._db.write() as connection:
            for item, code in codes.items():
                values = {"state": RecallState.UNREADABLE.value, "error_code": code[:64]}
                connection.execute(_pending(item).values(**values))

    def close(self, model: str, item: str, note: str, *, tenant: str | None, actor: str) -> str:
        """A person has looked at the study, and says what came of it. Returns the id of the item's list.

        The same again changes nothing. Raises RecallItemNotFound for no item of the model and the tenant (None: any),
        RecallItemClosed where somebody closed it before, or a newer answer has taken its place.
        """
        with self._db.write() as connection:
            row = self._item(connection, model, item, tenant)
            if row["closed_at"] is not None:
                if (row["closed_by"], row["note"]) == (actor, note):
                    return str(row["recall_id"])
                raise RecallItemClosed("somebody has closed the item before")
            if row["state"] == JOINED:
                raise RecallItemClosed(
                    "the version answered the study again: the list has a newer item of it"
                )
            at = self._db.now(connection)
            values = {"closed_at": at, "closed_by": actor, "open_since": None}
            require_fits(recall_items, values)
            connection.execute(sa.update(recall_items).where(recall_items.c.id == item).values(**values))
            kept = {"item_id": item, "at": at, "note": note}
            require_fits(recall_notes, kept)
            connection.execute(sa.insert(recall_notes).values(**kept))
            detail = {"recall": row["recall_id"], "item": item, "difference": row["difference"]}
            self._audit.append_within(connection, actor, "recall-close", model, detail)
        return str(row["recall_id"])

    def open_lists(self) -> tuple[OpenRecall, ...]:
        """Lists on which something waits for a person, for the site's alarms."""
        return self._db.remembered("open recalls", self._open_lists)

    def _unmade(self) -> tuple[WithdrawnRun, ...]:
        phase = rollouts.c.status["phase"].as_string()
        ending = rollouts.c.status["ending"].as_string()
        names = ("model", "candidate", "run", "began_at", "ended_at")
        of_run = (recalls.c.model == rollouts.c.model) & (recalls.c.run == rollouts.c.run)
        query = (
            sa.select(*(rollouts.c[name] for name in names), phase.label("phase"), ending.label("ending"))
            .outerjoin(recalls, of_run)
            .where(recalls.c.id.is_(None) & phase.in_(sorted(WITHDRAWN)))
            .order_by(rollouts.c.model, rollouts.c.run)
        )
        with self._db.read() as connection:
            return tuple(_withdrawn(row) for row in connection.execute(query).mappings())

    def _under_way(self) -> tuple[Recall, ...]:
        is_pending = sa.exists().where((recall_items.c.recall_id == recalls.c.id) & TO_READ)
        query = (
            sa.select(recalls)
            .where(~recalls.c.is_complete | is_pending)
            .order_by(recalls.c.made_at, recalls.c.id)
        )
        with self._db.read() as connection:
            return tuple(recall_of(row) for row in connection.execute(query).mappings())

    def _open_lists(self) -> tuple[OpenRecall, ...]:
        is_critical = sa.case((recall_items.c.difference == Difference.CRITICAL.value, 1), else_=0)
        columns = (recalls.c.model, recalls.c.id, recalls.c.version, recalls.c.run, recalls.c.made_at)
        query = (
            sa.select(*columns, sa.func.count(), sa.func.sum(is_critical))
            .join(recall_items, recall_items.c.recall_id == recalls.c.id)
            .where(recall_items.c.open_since.is_not(None))
            .group_by(*columns)
            .order_by(recalls.c.model, recalls.c.made_at)
        )
        with self._db.read() as connection:
            return tuple(
                OpenRecall(model, id, version, run, number, int(critical))
                for model, id, version, run, _, number, critical in connection.execute(query)
            )

    def _item(self, connection: Connection, model: str, item: str, tenant: str | None) -> RowMapping:
        """The item with its note; no other transaction closes it meanwhile."""
        self._db.serialise(connection, f"recall-item/{item}")
        query = (
            sa.select(recall_items, recall_notes.c.note)
            .join(recalls, recalls.c.id == recall_items.c.recall_id)
            .outerjoin(recall_notes, recall_notes.c.item_id == recall_items.c.id)
            .where((recall_items.c.id == item) & (recalls.c.model == model))
        )
        row = connection.execute(query).mappings().first()
        if row is None or tenant not in (None, row["tenant"]):
            raise RecallItemNotFound("no item of that model's recalls has that id")
        return row


def recall_of(row: Mapping[str, Any] | RowMapping) -> Recall:
    return Recall(**{name: row[name] for name in NAMES})


def _same(new: NewRecall) -> sa.ColumnElement[bool]:
    if new.run is not None:
        return (recalls.c.model == new.model) & (recalls.c.run == new.run)
    of_version = (recalls.c.model == new.model) & (recalls.c.version == new.version)
    return of_version & recalls.c.run.is_(None) & (recalls.c.since == new.since)


def _withdrawn(row: RowMapping) -> WithdrawnRun:
    phase = RolloutPhase(row["phase"])
    version, ending = row["candidate"], row["ending"] or ""
    return WithdrawnRun(row["model"], version, row["run"], row["began_at"], phase, ending, row["ended_at"])


def _pending(item: str) -> sa.Update:
    is_pending = recall_items.c.state == RecallState.PENDING.value
    return sa.update(recall_items).where((recall_items.c.id == item) & is_pending)


def _new_row(recall: str, item: NewRecallItem, at: datetime) -> dict[str, Any]:
    study = item.study
    return {
        "id": uuid.uuid4().hex,
        "recall_id": recall,
        "job_id": study.job_id,
        "reading_id": study.reading_id,
        "tenant": study.tenant,
        "study_key": study.study_key,
        "answered_at": study.answered_at,
        "variant": study.variant,
        "delivered": dict(item.delivered),
        "state": RecallState.PENDING.value,
        "delivered_missed": False,
        "changes": [],
        "open_since": at,
    }


def _study_of(study: RecalledStudy) -> tuple[str, str]:
    """What an item is one of. A study without a pseudonym is told apart by its job."""
    return study.tenant, study.study_key or study.job_id


def _listed(
    connection: Connection, recall: str, items: Sequence[NewRecallItem]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The items that are on the list of these studies, by tenant and study."""
    keys = {item.study.study_key for item in items} - {""}
    names = ("id", "tenant", "study_key", "answered_at", "delivered")
    query = sa.select(*(recall_items.c[name] for name in names)).where(
        (recall_items.c.recall_id == recall) & recall_items.c.study_key.in_(sorted(keys)) & IS_ITEM
    )
    rows = connection.execute(query).mappings()
    return {(row["tenant"], row["study_key"]): dict(row) for row in rows}


def _takes_place(new: Mapping[str, Any], listed: Mapping[str, Any]) -> bool:
    """Whether a newer answer says something else; the same once more is nothing new to look at."""
    is_newer = new["answered_at"] >= listed["answered_at"]
    return bool(is_newer and new["delivered"] != listed["delivered"])
