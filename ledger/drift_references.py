"""What a named person said is normal: counts, bins, the words of the site, and the rule for a single odd study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.codec import from_plain, to_json, to_plain
from ledger.audit import Audit
from ledger.database import Database
from ledger.drift_readings import SIGNALS, SLICE_S, CountedReading, readings_of
from ledger.drift_tally import tally_of, words_of
from ledger.study_records import StudyRecords
from ledger.tables import drift_counts, drift_references, drift_verdicts
from ledger.tables.base import EPOCH
from observability.drift.catalogue import ACQUISITION, OUTCOME, SCORES, WORDS, words_of_the_site
from observability.drift.counters import Cell, Observed, Tally, counted
from observability.drift.outlier import OUTLIER, OutlierRule, outlier_rule
from observability.drift.reference import ArmingRule, Reference
from observability.drift.signals import SignalSpec, most_counted

LEAST_OF_A_WORD: Final = 20  # studies: what fewer tell is no word of the site
MOST_ROWS: Final = 6_000  # of records by which the rule for a single study is fitted
OUTLIER_RATE: Final = 0.01
BEFORE_BINS_WERE_KEPT: Final = (*ACQUISITION, *SCORES, *OUTCOME)


@dataclass(frozen=True, slots=True)
class NewReference:
    """What is to be normal: the days from `first` to `last`, counted from the epoch; watched from a later one."""

    model: str
    version: str
    first: int
    last: int
    watched_from: int


class DriftReferences:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database, records: StudyRecords, audit: Audit) -> None:
        self._db = database
        self._records = records
        self._audit = audit

    def accept(self, new: NewReference, *, actor: str) -> Reference | None:
        """Keep the counts of these days as the version's next reference; None where nothing was counted. Audited.

        Words that the site often told become bins. Of the studies whose records are still kept, half say which bins
        are rare together, the other half how odd one study in a hundred is. Each signal keeps how far it is believed.
        """
        proposed, rule = self._proposed(new, actor)
        if proposed is None:
            return None
        with self._db.write() as connection:
            self._db.serialise(connection, f"drift-reference {new.model} {new.version}")
            at, last = self._db.now(connection), _newest(connection, new.model, new.version)
            number = 1 if last is None else last["number"] + 1
            reference = replace(proposed, version=number, accepted_at_s=int(at.timestamp()))
            self._keep(connection, new, reference, rule, at)
            return reference

    def newest(self, model: str, version: str) -> Reference | None:
        """The newest of a version, if anybody accepted one."""
        with self._db.read() as connection:
            row = _newest(connection, model, version)
        return None if row is None else _reference_of(row)

    def numbers(self) -> dict[tuple[str, str], int]:
        """The number of the newest reference of each version that has one."""
        key = (drift_references.c.model, drift_references.c.version)
        query = sa.select(*key, sa.func.max(drift_references.c.number)).group_by(*key)
        with self._db.read() as connection:
            return {(model, version): number for model, version, number in connection.execute(query)}

    def _proposed(self, new: NewReference, actor: str) -> tuple[Reference | None, OutlierRule | None]:
        """What is to be kept, but for its number and time. Its beliefs take seconds to find: nothing is locked."""
        rows = self._readings(new)
        with self._db.read() as connection:
            signals = _signals(connection, new)
            tally = tally_of(connection, new.model, new.version, new.first, new.last, signals)
        if not tally.cells:
            return None, None
        rule, flags = fitted_rule(signals, rows)
        reference = Reference(
            model=new.model,
            version=1,
            accepted_by=actor,
            accepted_at_s=0,
            slice_s=SLICE_S,
            watched_from=new.watched_from,
            signals=signals if rule is None else (*signals, OUTLIER),
            tally=tally + flags,
        )
        return reference.calibrated(ArmingRule()), rule

    def _readings(self, new: NewReference) -> list[CountedReading]:
        start, end = (EPOCH.timestamp() + day * SLICE_S for day in (new.first, new.last + 1))
        stored = self._records.sampled(_utc(start), _utc(end), MOST_ROWS)
        return [one for one in readings_of(stored) if one.day[:2] == (new.model, new.version)]

    def _keep(
        self,
        connection: Connection,
        new: NewReference,
        reference: Reference,
        rule: OutlierRule | None,
        at: datetime,
    ) -> None:
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
            "signals": json.dumps([to_plain(signal) for signal in reference.signals]),
            "outlier_rule": None if rule is None else to_json(OutlierRule, rule),
        }
        connection.execute(sa.insert(drift_references).values(**row))
        self._forget_flags(connection, new)
        looked_at = (drift_verdicts.c.model == new.model) & (drift_verdicts.c.version == new.version)
        connection.execute(sa.delete(drift_verdicts).where(looked_at))
        detail = {"version": new.version, "reference": reference.version, "digest": reference.digest}
        self._audit.append_within(
            connection, reference.accepted_by, "accept-drift-reference", new.model, detail
        )

    def _forget_flags(self, connection: Connection, new: NewReference) -> None:
        """A flag by the rule of before says nothing of this one."""
        table = drift_counts.c
        stale = (table.model == new.model) & (table.version == new.version) & (table.signal == OUTLIER.name)
        connection.execute(sa.delete(drift_counts).where(stale & (table.slice >= new.watched_from)))


def fitted_rule(
    signals: Sequence[SignalSpec], rows: Sequence[CountedReading]
) -> tuple[OutlierRule | None, Tally]:
    """The rule, and the flags of the studies that set its limit; none where they are too few to set one."""
    shown, held_out = rows[0::2], rows[1::2]
    if len(held_out) < 1.0 / OUTLIER_RATE:
        return None, Tally()
    counts = {
        signal.name: np.bincount(
            [signal.bin_of(one.values.get(signal.name)) for one in shown], minlength=signal.bins
        )
        for signal in signals
    }
    rule = outlier_rule(signals, counts, [one.values for one in held_out], OUTLIER_RATE)
    flags = (
        Observed(one.leaf, one.day[2], {OUTLIER.name: "yes" if rule.is_outlier(one.values) else "no"})
        for one in held_out
    )
    return rule, counted((OUTLIER,), flags)


def _signals(connection: Connection, new: NewReference) -> tuple[SignalSpec, ...]:
    told: dict[str, Counter[str]] = words_of(connection, new.model, new.version, new.first, new.last)
    frequent = (most_counted(told[name], least=LEAST_OF_A_WORD) for name in WORDS)
    return (*SIGNALS, *words_of_the_site(*frequent))


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
        signals=_kept_signals(row["signals"]),
        tally=Tally(MappingProxyType(dict(_cells_of(json.loads(row["document"]))))),
    )


def _kept_signals(document: str | None) -> tuple[SignalSpec, ...]:
    if document is None:
        return BEFORE_BINS_WERE_KEPT
    return tuple(from_plain(SignalSpec, one) for one in json.loads(document))


def _cells_of(document: Iterable[list[Any]]) -> Iterator[tuple[Cell, int]]:
    for leaf, signal, day, place, count in document:
        yield Cell(tuple(leaf), signal, day, place), count


def _utc(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, EPOCH.tzinfo)
