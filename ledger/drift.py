"""Drift as integer counts: a view of the records, and the references that people accepted.

Readings of a version are counted by the day (UTC) at which their record was written, by site, scanner and protocol.
A version that reads in silence is counted, too, so that it has a reference when it is promoted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from ledger.audit import Audit
from ledger.database import Database
from ledger.study_records import StoredRecord, StudyRecords
from ledger.tables import drift_counts, drift_references
from observability.drift.catalogue import ACQUISITION, OUTCOME, SCORES, place_of, values_of
from observability.drift.counters import Cell, Observed, Tally, counted, slice_of
from observability.drift.reference import Reference

FOLD: Final = "drift"
BATCH_SIZE: Final = 100
SLICE_S: Final = 86_400
SIGNALS: Final = (*ACQUISITION, *SCORES, *OUTCOME)
ROLES: Final = frozenset({"answered", "failed", "shadow"})
"""Of what comes to a site as it comes; replays and ground-truth sets are no case mix."""
LONGEST_LEAF: Final = 120

_KEY: Final = ("model", "version", "slice", "leaf", "signal", "bin")


@dataclass(frozen=True, slots=True)
class NewReference:
    """What is to be normal: the days from `first` to `last`, counted from the epoch; watched from a later one."""

    model: str
    version: str
    first: int
    last: int
    watched_from: int


class DriftCounts:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database, records: StudyRecords, audit: Audit) -> None:
        self._db = database
        self._records = records
        self._audit = audit

    def fold(self) -> bool:
        """Count the next records that are not in it yet; whether there were any."""
        if not self._records.are_new(FOLD):
            return False
        with self._records.folding(FOLD, BATCH_SIZE) as (connection, records):
            for values, number in _cells(records).items():
                _add(connection, dict(zip(_KEY, values, strict=True)), number)
        return bool(records)

    def tally(self, model: str, version: str, first: int, last: int) -> Tally:
        """The counts of a version on the days from `first` to `last`."""
        with self._db.read() as connection:
            return _tally(connection, model, version, first, last)

    def accept(self, new: NewReference, *, actor: str) -> Reference | None:
        """Keep the counts of these days as the version's next reference; None where nothing was counted. Audited."""
        with self._db.write() as connection:
            self._db.serialise(connection, f"drift-reference {new.model} {new.version}")
            tally = _tally(connection, new.model, new.version, new.first, new.last)
            if not tally.cells:
                return None
            at, last = self._db.now(connection), _newest(connection, new.model, new.version)
            reference = Reference(
                model=new.model,
                version=1 if last is None else last["number"] + 1,
                accepted_by=actor,
                accepted_at_s=int(at.timestamp()),
                slice_s=SLICE_S,
                watched_from=new.watched_from,
                signals=SIGNALS,
                tally=tally,
            )
            self._keep(connection, new, reference, at)
            return reference

    def reference(self, model: str, version: str) -> Reference | None:
        """The newest of a version, if anybody accepted one."""
        with self._db.read() as connection:
            row = _newest(connection, model, version)
        return None if row is None else _reference_of(row)

    def _keep(self, connection: Connection, new: NewReference, reference: Reference, at: datetime) -> None:
        row = {
            "model": new.model,
            "version": new.version,
            "number": reference.version,
            "accepted_by": reference.accepted_by,
            "accepted_at": at,
            "watched_from": reference.watched_from,
            "digest": reference.digest,
            "document": json.dumps(
                [_plain(cell, count) for cell, count in sorted(reference.tally.cells.items())]
            ),
        }
        connection.execute(sa.insert(drift_references).values(**row))
        detail = {"version": new.version, "reference": reference.version, "digest": reference.digest}
        self._audit.append_within(
            connection, reference.accepted_by, "accept-drift-reference", new.model, detail
        )


def _cells(records: Iterable[StoredRecord]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for stored in records:
        for record in stored.trace.records:
            if record.role not in ROLES:
                continue
            leaf = tuple(part[:LONGEST_LEAF] for part in place_of(record))
            seen = Observed(leaf, slice_of(int(stored.at.timestamp()), SLICE_S), values_of(record))
            for cell, number in counted(SIGNALS, [seen]).cells.items():
                place = json.dumps(cell.leaf, ensure_ascii=False)
                found[record.model, record.version, cell.slice, place, cell.signal, cell.bin] += number
    return found


def _add(connection: Connection, key: dict[str, Any], number: int) -> None:
    """One fold at a time writes, so nobody comes between."""
    where = [drift_counts.c[name] == value for name, value in key.items()]
    more = sa.update(drift_counts).where(*where).values(count=drift_counts.c.count + number)
    if connection.execute(more).rowcount == 0:
        connection.execute(sa.insert(drift_counts).values(**key, count=number))


def _tally(connection: Connection, model: str, version: str, first: int, last: int) -> Tally:
    of_version = (drift_counts.c.model == model) & (drift_counts.c.version == version)
    of_days = drift_counts.c.slice.between(first, last)
    rows = connection.execute(sa.select(drift_counts).where(of_version & of_days)).mappings()
    return Tally(MappingProxyType(dict(map(_counted, rows))))


def _counted(row: RowMapping) -> tuple[Cell, int]:
    return Cell(tuple(json.loads(row["leaf"])), row["signal"], row["slice"], row["bin"]), row["count"]


def _newest(connection: Connection, model: str, version: str) -> RowMapping | None:
    of_version = (drift_references.c.model == model) & (drift_references.c.version == version)
    query = sa.select(drift_references).where(of_version).order_by(drift_references.c.number.desc()).limit(1)
    return connection.execute(query).mappings().first()


def _plain(cell: Cell, count: int) -> list[Any]:
    return [list(cell.leaf), cell.signal, cell.slice, cell.bin, count]


def _reference_of(row: RowMapping) -> Reference:
    return Reference(
        model=row["model"],
        version=row["number"],
        accepted_by=row["accepted_by"],
        accepted_at_s=int(row["accepted_at"].timestamp()),
        slice_s=SLICE_S,
        watched_from=row["watched_from"],
        signals=SIGNALS,
        tally=Tally(MappingProxyType(dict(_cells_of(json.loads(row["document"]))))),
    )


def _cells_of(document: Iterable[list[Any]]) -> Iterator[tuple[Cell, int]]:
    for leaf, signal, day, place, count in document:
        yield Cell(tuple(leaf), signal, day, place), count
