"""One database, SQLite or PostgreSQL: opened, its schema made once, transactions that do not deadlock."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from ledger.tables import SCHEMA_VERSION, metadata, schema

BUSY_S = 30
CREATE_TRIES = 20
READING = "serinus_reading"


class WrongSchema(RuntimeError):
    """The database was made by another version of Serinus."""


class Database:
    """Short write transactions. In SQLite a writer begins IMMEDIATE, so that it waits instead of failing."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)
        self._create()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect().execution_options(**{READING: True}) as connection:
            yield connection

    def locked(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Lock the rows of a query and pass by those that others hold; SQLite's writer holds them all anyway."""
        return query if self.is_sqlite else query.with_for_update(skip_locked=True)

    def serialise(self, connection: Connection, name: str) -> None:
        """Let one transaction at a time work on what `name` stands for; SQLite has one writer anyway."""
        if not self.is_sqlite:
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def held(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Lock the rows of a query, waiting for whoever holds them."""
        return query if self.is_sqlite else query.with_for_update()

    def insert_once(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        """An insert that leaves alone what lies under the same `key` (columns of a unique index)."""
        return self._insert(table).on_conflict_do_nothing(index_elements=key)

    def insert_over(self, table: sa.Table, key: Sequence[str]) -> sa.Insert:
        """An insert that replaces what lies under the same `key` (columns of a unique index)."""
        insert = self._insert(table)
        new = {column.name: insert.excluded[column.name] for column in table.c if column.name not in key}
        return insert.on_conflict_do_update(index_elements=key, set_=new)

    def close(self) -> None:
        self.engine.dispose()

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def _create(self) -> None:
        """Make the schema; several processes may try at the same time, one wins and the others find it."""
        for last in range(CREATE_TRIES):
            try:
                with self.engine.begin() as connection:
                    metadata.create_all(connection)
                    _check_version(connection)
                return
            except (OperationalError, ProgrammingError, IntegrityError):
                if last == CREATE_TRIES - 1:
                    raise
                time.sleep(0.1)


def _check_version(connection: Connection) -> None:
    found = connection.execute(sa.select(schema.c.version)).scalar()
    if found is None:
        connection.execute(sa.insert(schema).values(version=SCHEMA_VERSION))
    elif found != SCHEMA_VERSION:
        raise WrongSchema(f"the ledger has schema {found}, this version needs {SCHEMA_VERSION}")


def _sqlite(url: sa.URL) -> Engine:
    """Hides parameters, as PostgreSQL's engine does: an error's text must not carry a study's UID."""
    engine = sa.create_engine(
        url, connect_args={"timeout": BUSY_S, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred, ours is not
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # what was acknowledged survives a power cut
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get(READING, False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: sa.URL) -> Engine:
    return sa.create_engine(url, pool_pre_ping=True, pool_size=8, hide_parameters=True)
