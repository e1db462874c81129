"""The two engines: each gives up on a database that does not answer, and hides parameters in its errors.

An error's text must not carry a study's UID.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from core.private_files import OWNER_ONLY
from ledger.log_size import LOG_BYTES

READING: Final = "serinus_reading"
UNSYNCED: Final = "serinus_unsynced"
CONNECT_S: Final = 2
KEEPALIVE: Final = {
    "connect_timeout": CONNECT_S,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
T = TypeVar("T")


def engine_of(url: sa.URL, patience_s: float) -> Engine:
    """An engine for the database at `url`; `patience_s` bounds every wait for it."""
    return sqlite_engine(url, patience_s) if is_sqlite(url) else postgresql_engine(url, patience_s)


def is_sqlite(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite"


def serialise(connection: Connection, name: str) -> None:
    """Let one transaction at a time work on what `name` stands for; SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def sqlite_engine(url: sa.URL, patience_s: float) -> Engine:
    """Writes through to the disk, unless UNSYNCED. A writer begins IMMEDIATE, so that it waits instead of failing."""
    make_private(url.database)
    arguments = {"timeout": patience_s, "check_same_thread": False}
    engine = sa.create_engine(url, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred, ours is not
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")  # whoever begins the log anew cuts it
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(READING, False):
            connection.exec_driver_sql("BEGIN")
            return
        # what was acknowledged survives a power cut; in WAL mode a synced commit syncs those before it too
        _set_synchronous(connection, "NORMAL" if options.get(UNSYNCED, False) else "FULL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def make_private(file: str | None) -> None:
    """Have a new database readable by its owner only; SQLite gives its other files the same mode."""
    if file and file != ":memory:" and Path(file).parent.is_dir():
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, OWNER_ONLY))


def _set_synchronous(connection: Connection, level: str) -> None:
    if connection.info.get("synchronous") != level:
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.info["synchronous"] = level


def postgresql_engine(url: sa.URL, patience_s: float) -> Engine:
    """The server gives up a statement or a lock in time; should it be silent itself, the connection does."""
    patience_ms = int(patience_s * 1000)
    limits = f"-c statement_timeout={patience_ms} -c lock_timeout={patience_ms}"
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        pool_timeout=patience_s,
        hide_parameters=True,
        connect_args={**KEEPALIVE, "tcp_user_timeout": patience_ms, "options": limits},
    )

    class PatientConnection(psycopg.Connection[Any]):
        """Gives up a server that is silent, as one whose processes are frozen: it cannot give up by itself."""

        def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
            try:
                return super().wait(_within(patience_s, gen), *arguments, **named)
            except psycopg.errors.ConnectionTimeout:
                self.close()
                raise

    @event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, arguments: Any, named: Any) -> PatientConnection:
        return PatientConnection.connect(*arguments, **named)

    return engine


def _within(seconds: float, steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """The driver's steps of an operation, given up when nothing was heard for so long; it looks in between."""
    end = time.monotonic() + seconds
    try:
        step = next(steps)
        while True:
            ready = yield step
            if not ready and time.monotonic() > end:
                raise psycopg.errors.ConnectionTimeout("the server is silent")
            step = steps.send(ready)
    except StopIteration as ended:
        result: T = ended.value
        return result
