"""Who did what, as a hash chain: a row that is changed or taken out later breaks every one after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from core import hash_chain
from core.hash_chain import GENESIS
from ledger.database import Database
from ledger.limits import require_fits
from ledger.records import AuditRow
from ledger.tables import audit, microseconds


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last row up to which the chain was verified."""

    sequence: int
    digest: str


START = AuditHead(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Verified:
    """How far the chain is whole, and the first row that does not fit, if there is one."""

    head: AuditHead
    first_broken: int | None


class Audit:
    """Append only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def append(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> AuditRow:
        """Write one row behind the last one. `subject` and `detail` hold no patient datum."""
        with self._db.write() as connection:
            return self.append_within(connection, actor, action, subject, detail)

    def append_within(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any],
    ) -> AuditRow:
        """Write one row as a part of a transaction: what is done and who did it are written together or not at all.

        Call it last: until the transaction ends, nobody else can append.
        """
        self._db.serialise(connection, "audit")
        newest = sa.select(audit).order_by(audit.c.sequence.desc()).limit(1)
        last = connection.execute(newest).mappings().first()
        row: dict[str, Any] = {
            "sequence": (last["sequence"] if last else 0) + 1,
            "at": self._db.now(connection),
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": dict(detail),
            "previous": last["digest"] if last else GENESIS,
        }
        row["digest"] = digest_of(row)
        require_fits(audit, row)
        connection.execute(sa.insert(audit).values(**row))
        return _row(row)

    def rows(self, *, subject: str | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
        """Newest first."""
        query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
        query = query if subject is None else query.where(audit.c.subject == subject)
        with self._db.read() as connection:
            return tuple(_row(row) for row in connection.execute(query).mappings())

    def has(self, action: str) -> bool:
        """Whether any row is of that action."""
        with self._db.read() as connection:
            query = sa.select(audit.c.sequence).where(audit.c.action == action).limit(1)
            return connection.execute(query).first() is not None

    def first_broken(self) -> int | None:
        """The sequence number of the first row that does not fit the chain; None when all do."""
        return self.verify().first_broken

    def verify(self, since: AuditHead = START) -> Verified:
        """Follow the chain from a head that was verified before, which must still be there, to its end."""
        previous, expected, head = since.digest, since.sequence + 1, since
        rows = sa.select(audit).where(audit.c.sequence >= since.sequence).order_by(audit.c.sequence)
        with self._db.read() as connection:
            chain = connection.execute(rows).mappings()
            if since.sequence and not _is_head(next(chain, None), since):
                return Verified(START, since.sequence)
            for row in chain:
                fits = row["sequence"] == expected and row["previous"] == previous
                if not fits or row["digest"] != digest_of(row):
                    return Verified(head, expected)
                previous, expected = row["digest"], expected + 1
                head = AuditHead(row["sequence"], row["digest"])
        return Verified(head, None)


def _is_head(row: RowMapping | None, head: AuditHead) -> bool:
    return (
        row is not None
        and row["sequence"] == head.sequence
        and row["digest"] == head.digest == digest_of(row)
    )


def digest_of(row: Mapping[str, Any] | RowMapping) -> str:
    """sha256 over everything in the row but its digest, the previous row's included."""
    body = [
        row["sequence"],
        microseconds(row["at"]),
        row["actor"],
        row["action"],
        row["subject"],
        row["detail"],
        row["previous"],
    ]
    return hash_chain.digest_of(body)


def _row(row: Mapping[str, Any] | RowMapping) -> AuditRow:
    return AuditRow(
        row["sequence"], row["at"], row["actor"], row["action"], row["subject"], row["detail"], row["digest"]
    )
