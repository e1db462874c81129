"""One database, SQLite or PostgreSQL: opened, its schema made once, its time, transactions that do not deadlock.

A database that does not answer within a few seconds is LedgerUnavailable, whatever the driver calls it, so that no
thread waits for a host that is gone. No error's text holds a parameter.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

import core.clock
from core.errors import LedgerUnavailable
from core.sqlite_changes import SqliteChanges
from ledger.engines import READING, UNSYNCED, engine_of, is_sqlite, serialise
from ledger.revision import SCHEMA, make_schema_once, require_current, revision_of

logger = logging.getLogger("serinus.ledger")
PATIENCE_S: Final = 5.0  # for a lock, a statement, a connection of the pool
CREATE_S: Final = 20.0
AWAY: Final = "the ledger's database does not answer"

Clock = Callable[[], datetime]
T = TypeVar("T")


class Database:
    """Short transactions. `clock` stands for the database's time in tests; `patience_s` bounds every wait for it."""

    def __init__(self, url: str, clock: Clock | None = None, patience_s: float = PATIENCE_S) -> None:
        self._url = make_url(url)
        self._clock = clock
        self._inserts: dict[tuple[str, ...], sa.Insert] = {}
        self._answers: dict[str, tuple[object, Any]] = {}
        self.kept: set[str] = set()  # digests of rows that never change and that are surely there
        self.is_sqlite = is_sqlite(self._url)
        self.engine = engine_of(self._url, patience_s)
        self._file = self._url.database if self.is_sqlite and self._url.database != ":memory:" else None
        self._create()
        self._identity = self._identify()
        self._changes = SqliteChanges(Path(self._file)) if self._file else None

    @property
    def file(self) -> Path | None:
        """Where an SQLite database lies; None for any other."""
        return Path(self._file) if self._file else None

    def now(self, connection: Connection) -> datetime:
        """The database's time, which all processes share. SQLite has the time of its machine."""
        if self._clock is not None or self.is_sqlite:
            return self.local_now()
        at: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return at.astimezone(UTC)

    def local_now(self) -> datetime:
        """The time of this machine, which is an SQLite database's time, too."""
        return self._clock() if self._clock is not None else core.clock.now()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing. Raises LedgerUnavailable."""
        self._require_same_file()
        with told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write_unsynced(self) -> Iterator[Connection]:
        """As `write`, for what a power cut of the machine may take back, as it takes whoever wrote it.

        SQLite does not wait for the disk then; a crash of the process loses nothing. PostgreSQL, whose clients live
        on when its machine falls, syncs these too.
        """
        self._require_same_file()
        unsynced = self.engine.execution_options(**{UNSYNCED: True})
        with told(), unsynced.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A look at one moment. Raises LedgerUnavailable."""
        self._require_same_file()
        with told(), self.engine.connect().execution_options(**{READING: True}) as connection:
            yield connection

    def mark(self) -> object:
        """What differs from the last mark after any commit since; None where that cannot be told (PostgreSQL).

        A mark is cheap, a query is not. Raises LedgerUnavailable.
        """
        self._require_same_file()
        return self._changes.mark() if self._changes is not None else None

    def remembered(self, question: str, ask: Callable[[], T]) -> T:
        """What `ask` answers; it is asked again only when somebody has written since.

        For loops that ask again and again. The answer may depend on nothing but rows, not on the time.
        """
        mark, known = self.mark(), self._answers.get(question)
        if mark is not None and known is not None and known[0] == mark:
            answer: T = known[1]
            return answer
        answer = ask()
        self._answers[question] = mark, answer
        return answer

    def locked(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Lock the rows of a query and pass by those that others hold; SQLite's writer holds them all anyway."""
        return query if self.is_sqlite else query.with_for_update(skip_locked=True)

    def serialise(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time work on what `name` stands for; SQLite has one writer anyway."""
        serialise(connection, name)

    def held(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Lock the rows of a query, waiting for whoever holds them."""
        return query if self.is_sqlite else query.with_for_update()

    def insert_once(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        """An insert that leaves alone what lies under the same `key` (columns of a unique index)."""
        return self._made_once(("once", table.name, *key), lambda: self._insert_once(table, key))

    def insert_over(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        """An insert that replaces what lies under the same `key` (columns of a unique index)."""
        return self._made_once(("over", table.name, *key), lambda: self._insert_over(table, key))

    def insert_adding(self, table: sa.Table, key: Sequence[str], count: str) -> sa.Insert:
        """An insert that adds its `count` to that of what lies under the same `key`."""
        return self._made_once(
            ("adding", table.name, count, *key), lambda: self._insert_adding(table, key, count)
        )

    def close(self) -> None:
        if self._changes is not None:
            self._changes.close()
        self.engine.dispose()

    def _made_once(self, name: tuple[str, ...], make: Callable[[], sa.Insert]) -> sa.Insert:
        """Making a statement costs as much as executing it."""
        if name not in self._inserts:
            self._inserts[name] = make()
        return self._inserts[name]

    def _insert_once(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        return self._insert(table).on_conflict_do_nothing(index_elements=key)

    def _insert_over(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        insert = self._insert(table)
        new = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
        return insert.on_conflict_do_update(index_elements=key, set_=new)

    def _insert_adding(self, table: sa.Table, key: Sequence[str], count: str) -> sa.Insert:
        insert = self._insert(table)
        added = {count: table.c[count] + insert.excluded[count]}
        return insert.on_conflict_do_update(index_elements=key, set_=added)

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def _create(self) -> None:
        """Make the schema of an empty database; several processes may try at once, and one does.

        Raises WrongSchema when the database has another revision than ours.
        """
        end = time.monotonic() + CREATE_S
        while True:
            try:
                with self.engine.begin() as connection:
                    if revision_of(connection) is None:
                        serialise(connection, SCHEMA)
                        make_schema_once(connection)
                    require_current(connection)
                return
            except (OperationalError, ProgrammingError, IntegrityError, DatabaseError) as error:
                if time.monotonic() > end or _is_damaged(error):
                    raise LedgerUnavailable(f"{AWAY}: {type(error.orig).__name__}") from None
                time.sleep(0.1)

    def _identify(self) -> tuple[int, int] | None:
        """Which file an SQLite database is; None for any other, or when it is gone."""
        if not self._file:
            return None
        try:
            status = os.stat(self._file)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _require_same_file(self) -> None:
        """A file that was deleted or replaced would swallow what open connections still write to it."""
        if not self._file or (identity := self._identify()) == self._identity:
            return
        self.engine.dispose()
        self.kept.clear()
        if identity is None:
            raise LedgerUnavailable(f"{AWAY}: its file is gone")
        with told(), self.engine.begin() as connection:
            require_current(connection)
        self._identity = identity


@contextmanager
def told() -> Iterator[None]:
    """Turn what the driver says of a database that is away into LedgerUnavailable."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if not _is_away(error):
            raise
        cause = type(getattr(error, "orig", None) or error).__name__
        logger.warning("ledger.unavailable", extra={"error": cause})
        raise LedgerUnavailable(f"{AWAY}: {cause}") from None


def _is_away(error: Exception) -> bool:
    """Locked, full, damaged, unreachable or too slow; a mistake of ours in a statement is none of these."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or type(error) is DatabaseError)


def _is_damaged(error: DBAPIError) -> bool:
    return type(error) is DatabaseError
