"""The books of costs: events, each once; hours, posted when they are over; corrections for what comes late.

Nothing that was posted is ever changed. Events of an hour that was posted open it again, and the difference is posted
as its next entry; so does a price that was changed for an hour that is past. An hour is sealed when that is no longer
wanted: its events may then go, and its sums stay.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.codec import from_json, to_json
from ledger.cost_records import CostSums, added, span_of_hour, sums_of
from ledger.database import Database
from ledger.limits import require_fits
from ledger.study_records import StudyRecords
from ledger.tables import cost_bills, cost_events, cost_hours, cost_postings, microseconds
from observability.cost.account import Account
from observability.cost.apportion import Books, books_of
from observability.cost.corrections import correcting
from observability.cost.events import MAX_SPAN_NS, Charge, CostEvent, PaidTime, Usage, span_of
from observability.cost.from_record import usages_of
from observability.cost.price_book import HOUR_NS, PriceBook
from observability.cost.spans import Span

logger = logging.getLogger("serinus.costs")
KINDS: Final[Mapping[str, type[CostEvent]]] = {"paid": PaidTime, "usage": Usage, "charge": Charge}
FOLD: Final = "costs"
BATCH_SIZE: Final = 100
_KIND_OF: Final = {kind: name for name, kind in KINDS.items()}
_WITHOUT_STUDY: Final = tuple(cost_postings.c[name] for name in Account._fields if name != "study")


class Costs:
    """Takes events, posts hours, and tells sums."""

    def __init__(self, database: Database, records: StudyRecords) -> None:
        self._db = database
        self._records = records

    def fold(self) -> bool:
        """Take what readings used from the next records that are not in it yet; whether there were any."""
        if not self._records.are_new(FOLD):
            return False
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            self.keep_within(connection, [event for one in records for event in usages_of(one.trace)])
        return bool(records)

    def add(self, events: Sequence[CostEvent]) -> int:
        """Keep events in one transaction; of an id that is known the first stays. Returns how many are new.

        What a power cut takes back of the last moments is what it took from the studies that they tell of.
        """
        if not events:
            return 0
        with self._db.write_unsynced() as connection:
            return self.keep_within(connection, events)

    def keep_within(self, connection: Connection, events: Iterable[CostEvent]) -> int:
        """`add`, within a transaction. What touches an hour that is sealed comes too late, and is not kept."""
        at, sealed_ns = self._db.now(connection), _sealed_ns(connection)
        told: dict[str, CostEvent] = {}
        for event in events:
            if span_of(event)[0] < sealed_ns:
                logger.warning("costs.too_late", extra={"kind": _KIND_OF[type(event)]})
            else:
                told.setdefault(event.event, event)
        if not told:
            return 0
        rows = [_row(event, at) for event in told.values()]
        for row in rows:
            require_fits(cost_events, row)
        insert = self._db.insert_once(cost_events, ("id",)).returning(cost_events.c.id)
        new = connection.execute(insert, rows).scalars().all()
        self._open(connection, [told[event] for event in new])
        return len(new)

    def due(self, book: PriceBook, before: int) -> tuple[int, ...]:
        """Hours before that one which are not in the books as they should be, the oldest first."""
        columns = (cost_hours.c.hour, cost_hours.c.is_open, cost_hours.c.prices)
        wanted = (cost_hours.c.hour < before) & ~cost_hours.c.is_sealed
        query = sa.select(*columns).where(wanted).order_by(cost_hours.c.hour)
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        return tuple(hour for hour, is_open, prices in rows if is_open or prices != _digest(book, hour))

    def post(self, hour: int, book: PriceBook) -> bool:
        """Bring an hour into the books, by the difference to what stands there. Whether there was any."""
        with self._db.write() as connection:
            this = (cost_hours.c.hour == hour) & ~cost_hours.c.is_sealed
            query = sa.select(cost_hours.c.entries).where(this)
            entries = connection.execute(self._db.held(query)).scalar_one_or_none()
            if entries is None:
                return False
            found = books_of(_events(connection, span_of_hour(hour)), book, span_of_hour(hour))
            is_posted = _post(connection, hour, entries + 1, found)
            values = {
                "is_open": False,
                "entries": entries + is_posted,
                "prices": _digest(book, hour),
                "unpriced": ",".join(sorted(item.value for item in found.unpriced)),
            }
            connection.execute(sa.update(cost_hours).where(cost_hours.c.hour == hour).values(**values))
        return is_posted

    def sums(self, first: int, end: int, book: PriceBook) -> CostSums:
        """Of the hours from `first` up to, not including, `end`.

        What is in the books is read there. Hours that are not, as the one that runs, are counted from their events.
        """
        hours = (cost_hours.c.hour >= first) & (cost_hours.c.hour < end)
        names = ("hour", "is_open", "prices", "unpriced", "is_sealed")
        columns = [cost_hours.c[name] for name in names]
        with self._db.read() as connection:
            rows = connection.execute(sa.select(*columns).where(hours)).all()
            is_known = {
                hour: is_sealed or (not is_open and prices == _digest(book, hour))
                for hour, is_open, prices, _, is_sealed in rows
            }
            counted = [
                sums_of(books_of(_events(connection, span_of_hour(hour)), book, span_of_hour(hour)))
                for hour in sorted(hour for hour, known in is_known.items() if not known)
            ]
            left_out = [hour for hour, known in is_known.items() if not known]
            unpriced = {
                item for hour, _, _, items, _ in rows if is_known[hour] for item in items.split(",") if item
            }
            posted = _posted_sums(connection, first, end, left_out)
        return added([posted, CostSums({}, frozenset(), {}, frozenset(unpriced)), *counted])

    def seal(self, before: datetime) -> None:
        """Correct no hour any more that ended before and is posted, with all hours before it: its events may go."""
        with self._db.write() as connection:
            hour = microseconds(before) * 1000 // HOUR_NS
            open_hours = sa.select(sa.func.min(cost_hours.c.hour)).where(cost_hours.c.is_open)
            first_open = connection.execute(open_hours).scalar_one()
            until = hour if first_open is None else min(hour, first_open)
            old = (cost_hours.c.hour < until) & ~cost_hours.c.is_sealed
            connection.execute(sa.update(cost_hours).where(old).values(is_sealed=True))

    def entries(self, hour: int) -> tuple[Mapping[Account, int], ...]:
        """The entries of an hour as they were posted, the first one first."""
        query = sa.select(cost_postings).where(cost_postings.c.hour == hour)
        found: dict[int, dict[Account, int]] = {}
        with self._db.read() as connection:
            for row in connection.execute(query.order_by(cost_postings.c.entry)).mappings():
                found.setdefault(row["entry"], {})[_account(row)] = row["nano"]
        return tuple(found.values())

    def _open(self, connection: Connection, events: Iterable[CostEvent]) -> None:
        """Mark the hours that the events touch. In order, so that two writers do not wait for each other."""
        hours = {hour for event in events for hour in _hours(event)}
        new = {"is_open": True, "entries": 0, "prices": "", "unpriced": ""}
        insert = self._db.insert_once(cost_hours, ("hour",))
        for hour in sorted(hours):
            known = sa.update(cost_hours).where(cost_hours.c.hour == hour).values(is_open=True)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert, {"hour": hour, **new})
                connection.execute(known)  # somebody may have made and posted it meanwhile


def sealed_events() -> sa.Select[Any]:
    """The ids of the events of which no hour can be corrected any more."""
    last = sa.cast(sa.func.max(cost_hours.c.hour), sa.BigInteger)
    sealed = sa.select((last + 1) * HOUR_NS).where(cost_hours.c.is_sealed)
    until = sealed.scalar_subquery()
    return sa.select(cost_events.c.id).where(
        (cost_events.c.start_ns < until) & (cost_events.c.end_ns <= until)
    )


def _sealed_ns(connection: Connection) -> int:
    """Until when hours are sealed, in nanoseconds since the epoch; 0 before the first is."""
    query = sa.select(sa.func.max(cost_hours.c.hour)).where(cost_hours.c.is_sealed)
    last: int | None = connection.execute(query).scalar_one()
    return 0 if last is None else (last + 1) * HOUR_NS


def _row(event: CostEvent, at: datetime) -> dict[str, Any]:
    start_ns, end_ns = span_of(event)
    kind = type(event)
    return {
        "id": event.event,
        "kind": _KIND_OF[kind],
        "start_ns": start_ns,
        "end_ns": end_ns,
        "at": at,
        "document": to_json(kind, event),
    }


def _hours(event: CostEvent) -> range:
    start_ns, end_ns = span_of(event)
    return range(start_ns // HOUR_NS, max(start_ns, end_ns - 1) // HOUR_NS + 1)


def _digest(book: PriceBook, hour: int) -> str:
    return book.digest(span_of_hour(hour))


def _events(connection: Connection, span: Span) -> list[CostEvent]:
    """What touches the span. No event is longer than a day, so that an older one cannot."""
    begins = cost_events.c.start_ns
    near = (begins >= span.start - MAX_SPAN_NS) & (begins < span.end) & (cost_events.c.end_ns >= span.start)
    query = sa.select(cost_events.c.kind, cost_events.c.document).where(near)
    return [from_json(KINDS[kind], document) for kind, document in connection.execute(query)]


def _post(connection: Connection, hour: int, entry: int, found: Books) -> bool:
    """Write what differs from the entries before as one entry."""
    amounts = correcting(_posted(connection, hour), found.amounts)
    bill = correcting(_billed(connection, hour), {item.value: nano for item, nano in found.bill.items()})
    if amounts:
        rows = [
            {"hour": hour, "entry": entry, "number": number, **account._asdict(), "nano": nano}
            for number, (account, nano) in enumerate(sorted(amounts.items()))
        ]
        connection.execute(sa.insert(cost_postings), rows)
    if bill:
        items = [{"hour": hour, "entry": entry, "item": item, "nano": nano} for item, nano in bill.items()]
        connection.execute(sa.insert(cost_bills), items)
    return bool(amounts or bill)


def _posted(connection: Connection, hour: int) -> dict[Account, int]:
    sums: Counter[Account] = Counter()
    for row in connection.execute(sa.select(cost_postings).where(cost_postings.c.hour == hour)).mappings():
        sums[_account(row)] += row["nano"]
    return dict(sums)


def _billed(connection: Connection, hour: int) -> dict[str, int]:
    columns = (cost_bills.c.item, sa.func.sum(cost_bills.c.nano))
    query = sa.select(*columns).where(cost_bills.c.hour == hour).group_by(cost_bills.c.item)
    return {item: int(nano) for item, nano in connection.execute(query)}


def _posted_sums(connection: Connection, first: int, end: int, left_out: Sequence[int]) -> CostSums:
    """Sums of the entries of all hours but those."""
    hour = cost_postings.c.hour
    within = (hour >= first) & (hour < end) & hour.not_in(left_out)
    nano = sa.func.sum(cost_postings.c.nano)
    query = sa.select(*_WITHOUT_STUDY, nano.label("nano")).where(within & (cost_postings.c.item != ""))
    rows = connection.execute(query.group_by(*_WITHOUT_STUDY)).mappings()
    amounts = {_account({**row, "study": ""}): int(row["nano"]) for row in rows}
    told = sa.select(*(cost_postings.c[name] for name in Account._fields)).distinct()
    of_studies = connection.execute(told.where(within & (cost_postings.c.item == ""))).mappings()
    delivered = frozenset(_account(row) for row in of_studies)
    billed = sa.select(cost_bills.c.item, sa.func.sum(cost_bills.c.nano)).group_by(cost_bills.c.item)
    hour = cost_bills.c.hour
    bill = connection.execute(billed.where((hour >= first) & (hour < end) & hour.not_in(left_out)))
    return CostSums(amounts, delivered, {item: int(nano) for item, nano in bill}, frozenset())


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(*(row[name] for name in Account._fields))
