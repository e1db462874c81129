"""A backup is whole and consistent while others write, readable by its owner only, and restored as it was."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ledger import Ledger
from serve_apps.application.anchored_audit import audit_anchor
from serve_apps.cli.main import app
from serve_apps.embedded.secrets import ensure_secrets
from serve_apps.embedded.site_backup import back_up_site, restore_site
from serve_apps.embedded.state_archive import CONTENTS, NoBackup
from serve_apps.settings import Settings
from tests.unit.canary.rollout.builders import begun, plan
from tests.unit.ledger.conftest import GIVES_UP_SOON, Clock, after
from tests.unit.ledger.former import make_schema_6, rows_of
from tests.unit.ledger.paired import told
from tests.unit.ledger.studies import claim, submit

NOT_KEPT = (
    "logs/router.log",
    "ray/session/x",
    "model-cache/d/model.pt2",
    "samples/a.dcm",
    "mlflow/server.log",
)
KEPT = (
    "inbox/1.2.840.1/1.dcm",
    "reports/1.2.840.1/9.dcm",
    "mlflow/artifacts/1/model.safetensors",
    "mlflow/migrated",
)


def site(folder: Path, **more: object) -> Settings:
    return Settings(state_dir=folder, **more)  # type: ignore[arg-type]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A site with keys, a registry, a pushed study, a report, and much that can be made again."""
    made = site(tmp_path / "state")
    ensure_secrets(made.paths)
    for name in (*KEPT, *NOT_KEPT):
        path = made.paths.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    with closing(sqlite3.connect(made.paths.mlflow / "mlflow.db")) as registry:
        registry.executescript(
            "PRAGMA journal_mode=WAL; CREATE TABLE versions (name TEXT); INSERT INTO versions VALUES ('7')"
        )
    make_schema_6(made.ledger)
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    """Where the backup is restored."""
    return site(tmp_path / "restored")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "site.backup"


def test_what_cannot_be_made_again_comes_back_and_nothing_else(
    settings: Settings, elsewhere: Settings, file: Path
) -> None:
    back_up_site(settings, file)
    restore_site(elsewhere, file)
    root = elsewhere.paths.root
    restored = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    keys = {f"keys/{path.name}" for path in settings.paths.keys.iterdir()}
    assert restored == {*KEPT, *keys, "ledger.db", "mlflow/mlflow.db"}
    for name in (*KEPT, *keys):
        assert (root / name).read_bytes() == (settings.paths.root / name).read_bytes()


def test_every_row_comes_back_and_the_chain_of_the_audit_is_whole(
    settings: Settings, elsewhere: Settings, file: Path
) -> None:
    back_up_site(settings, file)
    restore_site(elsewhere, file)
    assert rows_of(elsewhere.ledger) == rows_of(settings.ledger)


@pytest.fixture
def running(settings: Settings) -> Iterator[Ledger]:
    """The ledger of the site, open and written to, as while the stack runs."""
    from ledger.migrate import migrate

    migrate(settings.ledger)
    opened = Ledger.open(settings.ledger, GIVES_UP_SOON, Clock())
    yield opened
    opened.close()


def test_a_backup_while_somebody_writes_has_what_was_committed(
    settings: Settings, running: Ledger, elsewhere: Settings, file: Path
) -> None:
    committed = submit(running, "1.2.840.77")
    with running.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM jobs")
        back_up_site(settings, file)
    restore_site(elsewhere, file)
    restored = Ledger.open(elsewhere.ledger, GIVES_UP_SOON, Clock())
    assert committed.id in [job.job.id for job in claim(restored, after(60))], "what was accepted is read"
    assert restored.audit.first_broken() is None
    restored.close()


def test_what_was_told_of_a_study_comes_back(
    settings: Settings, running: Ledger, elsewhere: Settings, file: Path
) -> None:
    truth = running.truths.add(told(note="on slice 4"), actor="ris").truth
    back_up_site(settings, file)
    restore_site(elsewhere, file)
    restored = Ledger.open(elsewhere.ledger, GIVES_UP_SOON, Clock())
    assert restored.truths.of_study("st-pt-1", tenant="ris") == (truth,)
    restored.close()


def test_a_rollout_that_is_under_way_comes_back(
    settings: Settings, running: Ledger, elsewhere: Settings, file: Path
) -> None:
    kept = running.rollouts.begin(plan(), begun(), actor="ris/ada")
    running.rollout_evidence.keep("chest-ct", 1, {"sensitivity": ({"harm": [0.1]}, {"at": 3})})
    back_up_site(settings, file)
    restore_site(elsewhere, file)
    restored = Ledger.open(elsewhere.ledger, GIVES_UP_SOON, Clock())
    assert restored.rollouts.newest() == (kept,)
    assert restored.rollouts.events("chest-ct", 1) == running.rollouts.events("chest-ct", 1)
    assert restored.rollout_evidence.of_run("chest-ct", 1) == running.rollout_evidence.of_run("chest-ct", 1)
    restored.close()


def test_a_controller_of_a_restored_ledger_leads_above_every_epoch_that_a_router_may_hold(
    settings: Settings, running: Ledger, elsewhere: Settings, file: Path
) -> None:
    back_up_site(settings, file)
    after_the_backup = running.control.take_leadership("controller-2")
    restore_site(elsewhere, file)
    restored = Ledger.open(elsewhere.ledger)
    assert restored.control.take_leadership("controller-3", at_least=after_the_backup + 1) > after_the_backup
    restored.close()


def test_the_anchor_of_the_audit_comes_back_and_fits(
    settings: Settings, running: Ledger, elsewhere: Settings, file: Path
) -> None:
    audit_anchor(settings, running).keep()
    back_up_site(settings, file)
    restore_site(elsewhere, file)
    restored = Ledger.open(elsewhere.ledger)
    assert restored.audit.verify().head == running.audit.verify().head
    look = audit_anchor(elsewhere, restored).look()
    assert (look.problem, look.verified_to) == (None, running.audit.rows(limit=1)[0].sequence)
    restored.close()


def test_a_cut_audit_is_told_until_an_administrator_anchors_it_anew(
    settings: Settings, running: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERINUS_STATE_DIR", str(settings.state_dir))
    anchor = audit_anchor(settings, running)
    anchor.keep()
    with running.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE sequence > 3")
    done = CliRunner().invoke(app, ["anchor-audit", "the dump was older", "--json"])
    assert "rows were cut" in json.loads(done.stdout)["problem"]
    assert anchor.look().problem is None


def test_only_the_owner_may_read_a_backup_and_what_it_is_restored_to(
    settings: Settings, elsewhere: Settings, file: Path
) -> None:
    back_up_site(settings, file)
    assert file.stat().st_mode & 0o777 == 0o600
    restore_site(elsewhere, file)
    for path in (elsewhere.paths.root, *elsewhere.paths.root.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_nothing_is_left_beside_the_databases_or_the_backup(settings: Settings, file: Path) -> None:
    before = {path for path in settings.paths.root.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    back_up_site(settings, file)
    after_it = {path for path in settings.paths.root.rglob("*") if not path.name.endswith(("-wal", "-shm"))}
    assert after_it == before
    assert list(file.parent.glob(".*")) == []


def test_a_backup_does_not_replace_another(settings: Settings, file: Path) -> None:
    file.write_text("the backup of yesterday")
    with pytest.raises(NoBackup, match="is there already"):
        back_up_site(settings, file)
    assert file.read_text() == "the backup of yesterday"


def test_a_state_folder_that_is_in_use_is_not_overwritten(settings: Settings, file: Path) -> None:
    back_up_site(settings, file)
    before = rows_of(settings.ledger)
    with pytest.raises(NoBackup, match="is not empty"):
        restore_site(settings, file)
    assert rows_of(settings.ledger) == before


@pytest.mark.parametrize("harm", ["cut", "cut at a member", "changed", "none"])
def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(
    harm: str, settings: Settings, elsewhere: Settings, file: Path
) -> None:
    back_up_site(settings, file)
    content = file.read_bytes()
    with tarfile.open(file) as archive:
        last = archive.getmember(CONTENTS).offset
    harmed = {
        "cut": content[: len(content) // 2],
        "cut at a member": content[:last] + bytes(1024),
        "changed": content.replace(b"content of inbox", b"CONTENT of inbox"),
        "none": b"something else",
    }
    file.write_bytes(harmed[harm])
    with pytest.raises(NoBackup, match="whole"):
        restore_site(elsewhere, file)
    assert not elsewhere.paths.root.exists()
    assert [path.name for path in file.parent.glob(".*")] == []


def test_a_backup_that_names_a_file_outside_is_refused(elsewhere: Settings, file: Path) -> None:
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    with pytest.raises(NoBackup, match="outside of the state folder"):
        restore_site(elsewhere, file)
    assert not (file.parent / "outside").exists()


def test_what_lies_elsewhere_is_told(tmp_path: Path, settings: Settings, file: Path) -> None:
    own = site(settings.state_dir, ledger_url="postgresql+psycopg://h/d", mlflow_url="http://registry")
    made = back_up_site(own, file)
    assert [part.split(" is ")[0] for part in made.elsewhere] == ["the ledger", "the registry"]
    assert "pg_dump" in made.elsewhere[0]


def test_the_commands_say_how_much_and_of_when(
    settings: Settings, tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERINUS_STATE_DIR", str(settings.state_dir))
    made = CliRunner().invoke(app, ["backup", str(file), "--json"])
    monkeypatch.setenv("SERINUS_STATE_DIR", str(tmp_path / "other"))
    restored = CliRunner().invoke(app, ["restore", str(file), "--json"])
    assert (made.exit_code, restored.exit_code) == (0, 0)
    assert json.loads(made.stdout) == json.loads(restored.stdout)
    assert datetime.fromisoformat(json.loads(made.stdout)["made_at"]).tzinfo == UTC
    again = CliRunner().invoke(app, ["restore", str(file)])
    assert again.exit_code == 1
