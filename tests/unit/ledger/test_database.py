"""The ledger away: whatever the reason, soon and by one name, without a word of any study; and back when it is."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from core.clock import now
from core.errors import LedgerUnavailable
from core.study import StudyRef
from ledger import JobRequest, Ledger
from ledger.database import Database
from ledger.tables import SCHEMA_VERSION, jobs, schema

STUDY = "1.2.840.99"
REQUEST = JobRequest(StudyRef("pacs", STUDY))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def impatient(file: Path) -> Iterator[Ledger]:
    """A ledger in a file that waits 50 ms for a lock."""
    opened = Ledger(Database(f"sqlite:///{file}", patience_s=0.05))
    submit(opened)
    yield opened
    opened.close()


def submit(ledger: Ledger) -> str:
    return ledger.jobs.submit(REQUEST, idempotency_key=None, tenant="ris").job.id


def require_away(ledger: Ledger) -> None:
    """A write is refused by the one name, and the error names no study."""
    with pytest.raises(LedgerUnavailable) as away:
        submit(ledger)
    assert STUDY not in "".join(traceback.format_exception(away.value))
    assert away.value.code == "ledger-unavailable"


def test_a_database_that_is_locked_is_away_and_then_back(impatient: Ledger, file: Path) -> None:
    other = Database(f"sqlite:///{file}")
    with other.write():
        require_away(impatient)
        assert impatient.jobs.open_jobs() == 1, "reading goes on"
    submit(impatient)
    other.close()


def test_a_disk_that_is_full_is_away(impatient: Ledger) -> None:
    @event.listens_for(impatient.database.engine, "connect")
    def fill(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")

    impatient.database.engine.dispose()
    written = 0
    with pytest.raises(LedgerUnavailable):  # noqa: PT012 - a page holds a few jobs
        while written < 200:
            written += bool(submit(impatient))


def test_a_file_that_is_gone_is_away_and_swallows_nothing(impatient: Ledger, file: Path) -> None:
    copy = file.with_name("backup")
    impatient.database.engine.dispose()
    shutil.copy(file, copy)
    submit(impatient)
    file.unlink()
    require_away(impatient)
    assert not file.exists(), "no new and empty ledger in its place"
    for rest in ("-wal", "-shm"):
        file.with_name(f"ledger.db{rest}").unlink(missing_ok=True)
    copy.rename(file)
    assert impatient.jobs.open_jobs() == 1, "the backup is taken as it is"


def test_a_file_that_is_damaged_is_away(impatient: Ledger, file: Path) -> None:
    impatient.database.engine.dispose()
    with file.open("r+b") as opened:
        opened.write(b"garbage " * 1000)
    require_away(impatient)


def test_a_ledger_that_cannot_be_opened_is_away(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"garbage " * 1000)
    with pytest.raises(LedgerUnavailable):
        Ledger.open(f"sqlite:///{damaged}")


def test_a_mistake_of_ours_is_not_called_away(ledger: Ledger) -> None:
    submit(ledger)
    with ledger.database.read() as connection:
        row = connection.execute(sa.select(jobs)).mappings().one()
    with pytest.raises(IntegrityError), ledger.database.write() as connection:
        connection.execute(sa.insert(jobs).values(**row))


def test_the_database_s_time_is_the_present_in_utc(ledger_url: str) -> None:
    database = Database(ledger_url)
    with database.read() as connection:
        assert abs(database.now(connection) - now()) < timedelta(seconds=5)
    database.close()


def test_only_what_is_acknowledged_waits_for_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")
    kinds = (database.write, database.write_unsynced, database.write_unsynced, database.write)
    levels = []
    for write in kinds:  # on one connection of the pool
        with write() as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    full, normal = 2, 1
    assert levels == [full, normal, normal, full]


def test_an_unsynced_write_is_all_or_nothing_too(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'ledger.db'}")

    def fail_half_way() -> None:
        with database.write_unsynced() as connection:
            connection.execute(sa.delete(schema))
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    with database.read() as connection:
        assert connection.execute(sa.select(schema.c.version)).scalar() == SCHEMA_VERSION


def test_what_depends_on_rows_only_is_asked_again_after_a_commit_and_not_before(
    impatient: Ledger, file: Path
) -> None:
    database, asked = impatient.database, 0

    def count() -> int:
        nonlocal asked
        asked += 1
        with database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(jobs)).scalar_one())

    assert [database.remembered("jobs", count) for _ in range(3)] == [1, 1, 1]
    assert asked == 1
    other = Ledger.open(f"sqlite:///{file}")
    submit(other)
    other.close()
    assert [database.remembered("jobs", count) for _ in range(2)] == [2, 2]
    submit(impatient)
    assert database.remembered("jobs", count) == 3, "its own commits count, too"


def test_a_ledger_that_is_away_is_told_even_when_the_answer_is_known(impatient: Ledger, file: Path) -> None:
    assert impatient.leases.holders() == frozenset()
    file.rename(file.with_suffix(".away"))
    with pytest.raises(LedgerUnavailable):
        impatient.leases.holders()
