"""A commit by anybody is seen in the mark, and nothing else is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.sqlite_changes import SqliteChanges


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database in WAL mode, as the ledger's and MLflow's are."""
    path = tmp_path / "some folder" / "one.db"
    path.parent.mkdir()
    execute(path, "PRAGMA journal_mode=WAL")
    execute(path, "create table one (number)")
    return path


def execute(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(statement)
        connection.commit()


def test_the_mark_stays_until_somebody_commits(file: Path) -> None:
    changes = SqliteChanges(file)
    first = changes.mark()
    assert first is not None
    assert changes.mark() == first
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("insert into one values (1)")
        assert changes.mark() == first, "nothing is committed yet"
        writer.commit()
        second = changes.mark()
        assert second != first
        writer.execute("insert into one values (2)")
        writer.commit()
        assert changes.mark() not in (first, second)


def test_reading_changes_nothing(file: Path) -> None:
    changes = SqliteChanges(file)
    first = changes.mark()
    execute(file, "select * from one")
    assert changes.mark() == first


def test_a_file_that_takes_the_place_of_the_old_one_is_another(file: Path, tmp_path: Path) -> None:
    changes = SqliteChanges(file)
    first = changes.mark()
    other = tmp_path / "other.db"
    execute(other, "create table one (number)")
    other.replace(file)
    assert changes.mark() not in (None, first)


def test_without_the_file_nothing_is_known_and_the_file_is_never_made(file: Path) -> None:
    changes = SqliteChanges(file)
    first = changes.mark()
    file.unlink()
    assert changes.mark() is None
    assert not file.exists()
    execute(file, "create table one (number)")
    assert changes.mark() not in (None, first)


def test_what_is_no_database_says_nothing(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)
    assert SqliteChanges(file).mark() is None


def test_a_closed_one_opens_again_and_counts_as_changed(file: Path) -> None:
    changes = SqliteChanges(file)
    first = changes.mark()
    changes.close()
    assert changes.mark() not in (None, first)


def test_asking_keeps_nobody_from_beginning_the_log_anew(file: Path) -> None:
    changes = SqliteChanges(file)
    execute(file, "insert into one values (1)")
    assert changes.mark() is not None
    with closing(sqlite3.connect(file)) as other:
        is_busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_busy
