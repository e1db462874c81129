"""What the last look at each version found. An alarm stays until a named person has looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core.codec import from_json, to_json
from ledger.audit import Audit
from ledger.database import Database
from ledger.tables import drift_verdicts
from observability.drift.verdict import DriftState

_KEY: Final = ("model", "version")


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """A signal over all its places: its part of M as log10 (None: not armed anywhere), and how far it moved."""

    signal: str
    log10_m: float | None
    psi: float


@dataclass(frozen=True, slots=True)
class DriftSeen:
    """What a look found: `since` is the day on which evidence reached its limit, counted from 1970-01-01."""

    state: DriftState
    sentence: str
    log10_limit: float
    since: int | None = None
    signals: tuple[SignalSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """`reference` numbers the one that was looked against, `until` the last day that was judged.

    `restarted_at` is the first day that counts after a person looked; `seen` is None until the next look then.
    """

    model: str
    version: str
    reference: int
    until: int | None
    restarted_at: int | None
    seen: DriftSeen | None

    @property
    def is_alarm(self) -> bool:
        return self.seen is not None and self.seen.state is DriftState.ALARM


class DriftVerdicts:
    """All raise LedgerUnavailable."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def all(self) -> tuple[StoredVerdict, ...]:
        """Of every version that was looked at."""
        query = sa.select(drift_verdicts).order_by(drift_verdicts.c.model, drift_verdicts.c.version)
        with self._db.read() as connection:
            return tuple(map(_stored, connection.execute(query).mappings()))

    def of(self, model: str, version: str) -> StoredVerdict | None:
        with self._db.read() as connection:
            return _of(connection, model, version)

    def keep(self, found: StoredVerdict, *, actor: str) -> bool:
        """Put it in the place of the last; whether it is an alarm that was none. Such a one is audited.

        A look that began before a person looked is not kept.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"drift-verdict {found.model} {found.version}")
            last = _of(connection, found.model, found.version)
            if last is not None and _is_later(last, found):
                return False
            connection.execute(self._db.insert_over(drift_verdicts, _KEY), _row(found))
            is_new = found.is_alarm and not (
                last is not None and last.is_alarm and last.reference == found.reference
            )
            if is_new and found.seen is not None:
                detail = {"version": found.version, "reference": found.reference, "since": found.seen.since}
                self._audit.append_within(connection, actor, "drift.alarm", found.model, detail)
            return is_new

    def acknowledge(self, model: str, version: str, from_day: int, *, actor: str) -> StoredVerdict | None:
        """A person has looked: the reference stays, and watching begins anew at `from_day`. Audited with the name.

        None where nobody looked at the version yet.
        """
        with self._db.write() as connection:
            self._db.serialise(connection, f"drift-verdict {model} {version}")
            last = _of(connection, model, version)
            if last is None:
                return None
            anew = StoredVerdict(model, version, last.reference, None, from_day, None)
            connection.execute(self._db.insert_over(drift_verdicts, _KEY), _row(anew))
            state = None if last.seen is None else last.seen.state.value
            detail: Mapping[str, object] = {"version": version, "reference": last.reference, "state": state}
            self._audit.append_within(connection, actor, "drift.acknowledge", model, dict(detail))
            return last


def _is_later(last: StoredVerdict, found: StoredVerdict) -> bool:
    """Whether the last one knows of a reference, or of a person who looked, that the found one does not."""
    if last.reference != found.reference:
        return last.reference > found.reference
    return (last.restarted_at or 0) > (found.restarted_at or 0)


def _of(connection: Connection, model: str, version: str) -> StoredVerdict | None:
    which = (drift_verdicts.c.model == model) & (drift_verdicts.c.version == version)
    row = connection.execute(sa.select(drift_verdicts).where(which)).mappings().first()
    return None if row is None else _stored(row)


def _row(found: StoredVerdict) -> dict[str, object]:
    return {
        "model": found.model,
        "version": found.version,
        "reference": found.reference,
        "until": found.until,
        "restarted_at": found.restarted_at,
        "document": None if found.seen is None else to_json(DriftSeen, found.seen),
    }


def _stored(row: RowMapping) -> StoredVerdict:
    text = row["document"]
    return StoredVerdict(
        model=row["model"],
        version=row["version"],
        reference=row["reference"],
        until=row["until"],
        restarted_at=row["restarted_at"],
        seen=None if text is None else from_json(DriftSeen, text),
    )
