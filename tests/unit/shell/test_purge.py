"""What a site no longer needs goes by itself and by command; what somebody may still read stays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.study import StudyRef
from ledger import JobRequest, Ledger
from serve_apps.application.purge import SitePurge
from serve_apps.cli.main import app
from serve_apps.settings import Settings
from tests.unit.ledger.conftest import NOON, Clock
from tests.unit.ledger.studies import claim_one, complete

STUDY = "1.2.840.1"
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, keep_inbox_hours=2, keep_failed_inbox_hours=20)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(settings: Settings, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger.open(settings.ledger, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def purge(ledger: Ledger, settings: Settings, clock: Clock) -> SitePurge:
    return SitePurge(ledger.retention, ledger.audit, settings, clock)


def pushed(
    settings: Settings, study: str = STUDY, name: str = "1.dcm", ago: timedelta = timedelta(0)
) -> Path:
    """An instance in the inbox, which came at noon, or before."""
    path = settings.paths.inbox / study / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"DICM")
    came = (NOON - ago).timestamp()
    for each in (path, path.parent):
        os.utime(each, (came, came))
    return path


def job_of(ledger: Ledger, study: str = STUDY) -> str:
    return ledger.jobs.submit(JobRequest(StudyRef("inbox", study)), idempotency_key=None, tenant="ris").job.id


def read(ledger: Ledger, study: str = STUDY) -> None:
    job_of(ledger, study)
    complete(ledger, claim_one(ledger))


def test_a_study_that_was_read_goes_when_nothing_came_for_a_while(
    purge: SitePurge, ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    path = pushed(settings)
    read(ledger)
    assert purge.purge("alice")["inbox"] == 0
    clock.at = NOON + 3 * HOUR
    assert purge.due()["inbox"] == 1
    assert path.exists(), "a dry run deletes nothing"
    assert purge.purge("alice")["inbox"] == 1
    assert list(settings.paths.inbox.iterdir()) == []
    (row,) = ledger.audit.rows(subject="inbox")
    assert (row.actor, row.action, row.detail) == ("alice", "purge", {"studies": 1})


def test_a_study_that_somebody_has_still_to_read_stays(
    purge: SitePurge, ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    path = pushed(settings)
    job_of(ledger)
    clock.at = NOON + 1000 * HOUR
    assert purge.purge("alice")["inbox"] == 0
    assert path.exists()


def test_a_study_that_failed_stays_for_longer(
    purge: SitePurge, ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    path = pushed(settings)
    ledger.jobs.cancel(job_of(ledger))
    clock.at = NOON + 3 * HOUR
    assert purge.purge("alice")["inbox"] == 0
    assert path.exists()
    clock.at = NOON + 21 * HOUR
    assert purge.purge("alice")["inbox"] == 1


def test_a_study_to_which_something_came_of_late_stays_whole(
    purge: SitePurge, ledger: Ledger, settings: Settings, clock: Clock
) -> None:
    first = pushed(settings, ago=10 * HOUR)
    later = pushed(settings, name="2.dcm")
    read(ledger)
    clock.at = NOON + HOUR
    assert purge.purge("alice")["inbox"] == 0
    assert first.exists()
    assert later.exists()


def test_what_comes_while_a_study_is_taken_away_brings_it_back(
    ledger: Ledger, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pushed(settings, ago=10 * HOUR)
    read(ledger)
    rename = os.rename

    def push_and_rename(source: Path, target: Path) -> None:
        pushed(settings, name="2.dcm")
        rename(source, target)

    monkeypatch.setattr(os, "rename", push_and_rename)
    assert SitePurge(ledger.retention, ledger.audit, settings, clock).purge("alice")["inbox"] == 0
    assert {path.name for path in first.parent.iterdir()} == {"1.dcm", "2.dcm"}


def test_what_a_killed_purge_left_aside_comes_back(
    purge: SitePurge, ledger: Ledger, settings: Settings
) -> None:
    path = pushed(settings)
    os.rename(path.parent, path.parent.with_name(f".gone-{STUDY}"))
    job_of(ledger)
    purge.purge("alice")
    assert path.exists()


def test_what_is_no_study_is_left_alone(purge: SitePurge, settings: Settings, clock: Clock) -> None:
    path = pushed(settings, study="notes")
    clock.at = NOON + 1000 * HOUR
    purge.purge("alice")
    assert path.exists()


def test_the_command_tells_before_it_deletes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERINUS_STATE_DIR", str(settings.state_dir))
    path = pushed(settings, ago=10_000 * HOUR)
    told = CliRunner().invoke(app, ["purge", "--dry-run", "--json"])
    assert json.loads(told.stdout) == {
        "dry_run": True,
        "documents": 0,
        "jobs": 0,
        "shadows": 0,
        "notes": 0,
        "notices": 0,
        "evidence": 0,
        "costs": 0,
        "inbox": 1,
    }
    assert path.exists()
    assert CliRunner().invoke(app, ["purge"]).stdout == "deleted: studies in the inbox 1\n"
    assert not path.exists()
