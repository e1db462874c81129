"""A ledger of an earlier day becomes one of today with all its rows; what cannot is refused and left alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine, make_url

from ledger import Ledger
from ledger import migrate as migration
from ledger.engines import engine_of
from ledger.migrate import MIGRATIONS, Migrated, migrate
from ledger.pairing import PairingMark, mark_of
from ledger.revision import WrongSchema
from ledger.tables import REVISION, metadata, microseconds, paired_studies, revisions
from tests.unit.ledger.conftest import Clock, after
from tests.unit.ledger.former import make_schema_6, rows_of
from tests.unit.ledger.studies import claim

FROM_6 = Migrated("schema 6", REVISION)


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    """Of this test's database, which is empty."""
    opened = engine_of(make_url(ledger_url), 5.0)
    yield opened
    opened.dispose()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to make the database like `ledger/tables/`."""
    options = {"version_table": revisions.name}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def keys(connection: Connection) -> dict[str, list[str]]:
    """The primary key of every table, which Alembic does not compare."""
    found = sa.inspect(connection)
    return {table: found.get_pk_constraint(table)["constrained_columns"] for table in metadata.tables}


def test_there_is_one_newest_revision_and_the_tables_are_of_it() -> None:
    assert scripts().get_heads() == [REVISION]


def test_revisions_are_numbers_without_a_gap() -> None:
    known = [script.revision for script in scripts().walk_revisions()]
    assert known == [f"{number:04}" for number in range(len(known), 0, -1)]


def test_the_revisions_make_the_tables_as_they_stand(engine: Engine) -> None:
    with engine.begin() as connection:
        migration._upgrade(connection)
        assert differences(connection) == []
        assert keys(connection) == {
            name: [column.name for column in table.primary_key] for name, table in metadata.tables.items()
        }


def test_a_new_ledger_is_of_the_newest_revision(ledger_url: str, engine: Engine) -> None:
    Ledger.open(ledger_url).close()
    with engine.begin() as connection:
        migration._upgrade(connection)
        assert differences(connection) == []
    assert migrate(ledger_url) is None


def test_a_ledger_of_schema_6_is_refused_with_the_way_out_and_left_alone(ledger_url: str) -> None:
    make_schema_6(ledger_url)
    before = rows_of(ledger_url)
    with pytest.raises(WrongSchema, match=f"schema 6, this Serinus needs {REVISION}: run `serinus migrate`"):
        Ledger.open(ledger_url)
    assert rows_of(ledger_url) == before


def test_a_ledger_of_schema_6_keeps_every_row(ledger_url: str) -> None:
    make_schema_6(ledger_url)
    before = rows_of(ledger_url)
    assert all(before.values()), "the ledger has rows in every table"
    assert migrate(ledger_url) == FROM_6
    after = rows_of(ledger_url)
    for table in before.keys() - {"schema_version", "audit"}:
        kept = [
            {name: row[name] for name in former}
            for former, row in zip(before[table], after[table], strict=True)
        ]
        assert kept == before[table], table
    assert after["audit"][:-1] == before["audit"]


def test_the_audit_goes_on_and_tells_of_the_migration(ledger_url: str) -> None:
    make_schema_6(ledger_url)
    migrate(ledger_url)
    ledger = Ledger.open(ledger_url)
    assert ledger.audit.first_broken() is None
    (newest,) = ledger.audit.rows(limit=1)
    assert (newest.action, newest.detail) == ("migrate-ledger", {"from": "schema 6", "to": REVISION})
    ledger.close()


def test_what_was_accepted_before_a_migration_is_read_after_it(ledger_url: str) -> None:
    make_schema_6(ledger_url)
    migrate(ledger_url)
    ledger = Ledger.open(ledger_url, clock=Clock())
    claimed = {job.job.study.study_uid for job in claim(ledger, after(60))}
    ledger.close()
    assert {"1.2.840.5", "1.2.840.7", "1.2.3"} <= claimed, "what ran, was queued, or waited for more objects"


def test_of_two_that_migrate_at_once_one_does(ledger_url: str) -> None:
    make_schema_6(ledger_url)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(migrate, [ledger_url] * 2))
    assert sorted(both, key=repr) == [FROM_6, None]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migration._upgrade

    def fail_at_the_end(connection: Connection) -> None:
        upgrade(connection)
        raise KeyError

    make_schema_6(ledger_url)
    before = rows_of(ledger_url)
    monkeypatch.setattr(migration, "_upgrade", fail_at_the_end)
    with pytest.raises(KeyError):
        migrate(ledger_url)
    assert rows_of(ledger_url) == before


def test_a_ledger_of_a_newer_serinus_is_refused(ledger_url: str, engine: Engine) -> None:
    Ledger.open(ledger_url).close()
    with engine.begin() as connection:
        connection.execute(sa.update(revisions).values(version_num="9999"))
    for way in (Ledger.open, migrate):
        with pytest.raises(WrongSchema, match="revision 9999, of a newer Serinus"):
            way(ledger_url)


def test_a_ledger_that_is_too_old_is_refused(ledger_url: str, engine: Engine) -> None:
    make_schema_6(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 5")
    for way in (Ledger.open, migrate):
        with pytest.raises(WrongSchema, match="schema 5, which cannot be migrated"):
            way(ledger_url)


def test_where_there_is_no_ledger_nothing_is_migrated_or_made(tmp_path: Path) -> None:
    file = tmp_path / "none.db"
    assert migrate(f"sqlite:///{file}") is None
    assert not file.exists()


def test_whoever_opens_a_ledger_does_not_load_alembic(tmp_path: Path) -> None:
    opens = f"import sys, ledger; ledger.Ledger.open('sqlite:///{tmp_path}/l.db'); print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", opens], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# ---- what a revision does to rows

AT = after(5)
FORMER_PAIR = {
    "at": AT,
    "model": "ich",
    "champion": "1",
    "candidate": "2",
    "meaning": "",
    "study_key": "st",
    "seen_at": AT,
    "tenant": "ris",
    "site": "north",
    "modality": "CT",
    "scanner": "",
    "is_discordant": False,
    "is_selected": False,
    "inclusion_probability": 1.0,
}


def former_pair(
    patient: str, finding: str, *says: str, job: str = "j", later_s: float = 0.0
) -> dict[str, Any]:
    """A pair of readings as revision 0008 kept it: what the champion and the candidate say."""
    names = {"id": f"{patient}-{finding}-{job}", "patient": patient, "finding": finding, "job_id": job}
    said = {"champion_says": says[0], "candidate_says": says[1]}
    return {
        **FORMER_PAIR,
        **names,
        **said,
        "at": microseconds(after(5 + later_s)),
        "seen_at": microseconds(AT),
    }


def put(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    values = ", ".join(f":{name}" for name in names)
    connection.execute(sa.text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})"), rows)


def test_pairs_that_were_taken_before_tell_who_failed_and_what_changed_last(engine: Engine) -> None:
    with engine.begin() as connection:
        migration._upgrade(connection, "0008")
        put(
            connection,
            "paired_readings",
            [
                former_pair("p1", "a", "present", "absent"),
                former_pair("p1", "b", "present", "no-result", job="later", later_s=1),
                former_pair("p2", "a", "present", "no-result"),
                former_pair("p3", "a", "present", "no-result", job="refused"),
                former_pair("p4", "volume", "", ""),
            ],
        )
        outcome = {
            **dict.fromkeys(("app", "variant", "study_key", "identity"), "x"),
            **{"job_id": "refused", "role": "shadow", "model": "ich", "version": "2", "delivered": "{}"},
            **{"error_code": "input-out-of-distribution", "at": microseconds(AT)},
        }
        put(connection, "shadow_outcomes", [outcome])
        put(connection, "pairing", [{"model": "ich", "changes": 5, "at": None}])
        migration._upgrade(connection)
        studies = connection.execute(sa.select(paired_studies).order_by(paired_studies.c.patient)).mappings()
        assert [(one["patient"], one["champion_ended"], one["candidate_ended"]) for one in studies] == [
            ("p1", "read", "read"),
            ("p2", "read", "failed"),
            ("p3", "read", "refused"),
        ]
        assert mark_of(connection, "ich") == PairingMark(0, after(6))
