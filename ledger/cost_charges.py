"""What the ledger itself shows of costs: answers of readers, deliveries that arrived, documents that are kept.

Each is told to the books once, by how far each kind has been told. What was there before the first look is not told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from canary.disclosure import Role
from canary.truth import TruthSource
from ledger.costs import Costs
from ledger.database import Database
from ledger.outbox import DONE
from ledger.tables import (
    EPOCH,
    MICROSECOND,
    decisions,
    deliveries,
    documents,
    folds,
    jobs,
    microseconds,
    paired_readings,
    truths,
)
from observability.cost.charged import CausedBy, egress, review, storage
from observability.cost.events import CostEvent
from observability.cost.price_book import HOUR_NS

REVIEWS: Final = "costs-reviews"
EGRESS: Final = "costs-egress"
STORAGE: Final = "costs-storage"
SETTLED: Final = timedelta(seconds=10)  # a delivery that has ended may be written so much later
AT_ONCE: Final = timedelta(hours=1)
MOST_ANSWERS: Final = 200  # a transaction of many rows would keep callers waiting
MOST_HOURS: Final = 48  # in which nobody looked, and for which what is kept now is charged


class CostCharges:
    """All raise LedgerUnavailable. `site` is this site's name in the books."""

    def __init__(self, database: Database, costs: Costs) -> None:
        self._db = database
        self._costs = costs

    def take_reviews(self, minutes: float) -> int:
        """Charge the answers of the adjudication queue that are new, at so many minutes each; returns their number.

        A review is paid for by the candidate of the pair, also if the answer was withdrawn later.
        """
        with self._db.write() as connection:
            after = self._begun(connection, REVIEWS, lambda: _newest_truth(connection))
            rows = connection.execute(_ANSWERS, {"after": after}).mappings().all()
            events = [_review(row, minutes) for row in rows if row["source"] == TruthSource.ADJUDICATION]
            if rows:
                self._told(connection, REVIEWS, rows[-1]["sequence"], events)
        return len(events)

    def take_egress(self, is_inside: Callable[[str], bool], site: str) -> int:
        """Charge what has arrived since the last time at destinations outside of the site; returns its number."""
        with self._db.write() as connection:
            settled = self._db.now(connection) - SETTLED
            begun = EPOCH + self._begun(connection, EGRESS, lambda: microseconds(settled)) * MICROSECOND
            until = max(begun, min(settled, begun + AT_ONCE))
            rows = connection.execute(_ARRIVED, {"begun": begun, "until": until}).mappings()
            events = [_egress(row, site) for row in rows if not is_inside(row["destination"])]
            self._told(connection, EGRESS, microseconds(until), events)
        return len(events)

    def take_storage(self, site: str) -> int:
        """Charge each hour that has begun, by what is kept now; returns how many versions were charged."""
        with self._db.write() as connection:
            hour = _hour(self._db.now(connection))
            told = self._begun(connection, STORAGE, lambda: hour - 1)
            if told >= hour:
                return 0
            kept = [(_caused(row, site), int(row["size"])) for row in connection.execute(_KEPT).mappings()]
            hours = range(max(told + 1, hour - MOST_HOURS), hour + 1)
            events = [storage(one, size, by) for one in hours for by, size in kept]
            self._told(connection, STORAGE, hour, events)
        return len(events)

    def _begun(self, connection: Connection, name: str, first: Callable[[], int]) -> int:
        """How far this kind has been told, by one at a time; at the first look as far as there is anything."""
        self._db.serialise(connection, f"fold {name}")
        query = sa.select(folds.c.seq).where(folds.c.name == name)
        seq: int | None = connection.execute(query).scalar_one_or_none()
        if seq is None:
            seq = first()
            self._told(connection, name, seq, ())
        return seq

    def _told(self, connection: Connection, name: str, seq: int, events: Sequence[CostEvent]) -> None:
        self._costs.keep_within(connection, events)
        connection.execute(self._db.insert_over(folds, ("name",)), {"name": name, "seq": seq})


def _review(row: RowMapping, minutes: float) -> CostEvent:
    about = {name: row[name] or "" for name in ("model", "site", "modality")}
    by = CausedBy(row["study_key"], version=row["candidate"] or "", **about)
    return review(row["id"], minutes, _ns(row["at"]), by)


def _egress(row: RowMapping, site: str) -> CostEvent:
    size = row["size"] if row["payload"] is None else len(json.dumps(row["payload"]).encode())
    return egress(row["id"], size or 0, _ns(row["ended_at"]), _caused(row, site))


def _caused(row: RowMapping, site: str) -> CausedBy:
    names = ("model", "version", "variant")
    about = {name: row[name] or "" for name in names}
    return CausedBy(row.get("study_key") or "", site=site, **about)


def _ns(at: datetime) -> int:
    return microseconds(at) * 1000


def _hour(at: datetime) -> int:
    return _ns(at) // HOUR_NS


def _newest_truth(connection: Connection) -> int:
    newest: int | None = connection.execute(sa.select(sa.func.max(truths.c.sequence))).scalar_one()
    return newest or 0


_ANSWERED: Final = (decisions.c.job_id == jobs.c.id) & (decisions.c.role == Role.ANSWERED.value)
_VERSION: Final = (decisions.c.version, decisions.c.variant)
_ANSWERS: Final = (
    sa.select(
        truths.c.id, truths.c.sequence, truths.c.at, truths.c.source, truths.c.model, truths.c.study_key
    )
    .add_columns(paired_readings.c.candidate, paired_readings.c.site, paired_readings.c.modality)
    .outerjoin(paired_readings, paired_readings.c.id == truths.c.pair_id)
    .where(truths.c.sequence > sa.bindparam("after"))
    .order_by(truths.c.sequence)
    .limit(MOST_ANSWERS)
)
_ARRIVED: Final = (
    sa.select(deliveries.c.id, deliveries.c.destination, deliveries.c.ended_at, deliveries.c.payload)
    .add_columns(jobs.c.model, *_VERSION, decisions.c.study_key)
    .add_columns(sa.func.length(documents.c.content).label("size"))
    .outerjoin(jobs, jobs.c.id == deliveries.c.job_id)
    .outerjoin(decisions, _ANSWERED)
    .outerjoin(
        documents, (documents.c.job_id == deliveries.c.job_id) & (documents.c.kind == deliveries.c.document)
    )
    .where(deliveries.c.ended_at > sa.bindparam("begun", type_=deliveries.c.ended_at.type))
    .where(deliveries.c.ended_at <= sa.bindparam("until", type_=deliveries.c.ended_at.type))
    .where(deliveries.c.state == DONE)
)
_KEPT: Final = (
    sa.select(jobs.c.model, *_VERSION, sa.func.sum(sa.func.length(documents.c.content)).label("size"))
    .join_from(documents, jobs, jobs.c.id == documents.c.job_id)
    .outerjoin(decisions, _ANSWERED)
    .group_by(jobs.c.model, *_VERSION)
)
