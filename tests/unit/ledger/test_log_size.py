"""The write-ahead log of SQLite does not grow for ever, and cutting it holds nobody up."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ledger.database import Database
from ledger.log_size import WriteAheadLog
from ledger.tables import documents

MIB = 1 << 20
LONGEST = MIB


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def log(database: Database) -> WriteAheadLog:
    return WriteAheadLog(database.file, LONGEST, wait_s=0.02)


def store(database: Database, mib: int) -> None:
    for _ in range(mib):
        row = {"job_id": "j", "kind": "sr", "content": bytes(MIB)}
        with database.write_unsynced() as connection:
            connection.execute(sa.delete(documents))
            connection.execute(sa.insert(documents).values(**row))


def test_while_somebody_reads_the_log_grows_and_then_it_is_cut(
    database: Database, log: WriteAheadLog
) -> None:
    with database.read() as connection:
        connection.execute(sa.select(documents.c.kind)).all()
        store(database, 8)
        assert log.size > 7 * MIB
        began = time.monotonic()
        assert log.trim() > 7 * MIB
        assert time.monotonic() - began < 2.0, "writers wait for no reader that does not end"
    assert log.trim() == 0
    store(database, 1)
    with database.read() as connection:
        assert len(connection.execute(sa.select(documents.c.content)).scalar_one()) == MIB


def test_readers_that_follow_each_other_without_a_gap_do_not_keep_it_long(
    database: Database, log: WriteAheadLog
) -> None:
    """Each reader begins before the one before it ends: SQLite by itself never begins the log anew."""
    with database.read() as first:
        first.execute(sa.select(documents.c.kind)).all()
        store(database, 4)
        with database.read() as second:
            second.execute(sa.select(documents.c.kind)).all()
            first.rollback()
            store(database, 4)
    assert log.size > 7 * MIB
    assert log.trim() == 0


def test_a_short_log_is_left_alone(database: Database, log: WriteAheadLog) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(documents))
    before = log.size
    assert 0 < before <= LONGEST
    assert log.trim() == before


def test_another_database_has_no_such_log() -> None:
    assert WriteAheadLog(None).trim() == 0


def test_the_ledgers_files_are_its_owners(database: Database, tmp_path: Path) -> None:
    store(database, 1)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
