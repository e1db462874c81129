"""A process that died tells the next one what it had in work; one that ended by decision tells nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from serve_apps.adapters.flight_recorder import KEPT_S, FlightRecorder, started

STUDY, OTHER = "ab" * 32, "cd" * 32


def died(folder: Path, *studies: str, host: str | None = None) -> None:
    """What a process leaves that was killed while it had these studies in work."""
    own = (
        folder / "flights" / f"{host or socket.gethostname()}.{os.getpid()}.1"
    )  # this pid, started at another time
    own.mkdir(parents=True)
    for study in studies:
        (own / study).touch()


def test_a_study_under_which_a_process_died_is_known_to_the_next(tmp_path: Path) -> None:
    died(tmp_path, STUDY)
    recorder = FlightRecorder(tmp_path)
    assert (recorder.deaths(STUDY), recorder.deaths(OTHER)) == (1, 0)
    died(tmp_path, STUDY)
    assert FlightRecorder(tmp_path).deaths(STUDY) == 2
    assert FlightRecorder(tmp_path).deaths(STUDY) == 2, "each death counts once"


def test_a_study_that_is_answered_is_innocent(tmp_path: Path) -> None:
    died(tmp_path, STUDY)
    recorder = FlightRecorder(tmp_path)
    recorder.answered(STUDY)
    assert recorder.deaths(STUDY) == 0


def test_what_a_living_process_has_in_work_is_no_death(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    with recorder.flight(STUDY):
        assert FlightRecorder(tmp_path).deaths(STUDY) == 0
    assert not any((tmp_path / "flights").glob("*/*"))


def test_a_flight_that_fails_has_been_survived(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    with pytest.raises(ValueError, match="x"), recorder.flight(STUDY):
        raise ValueError("x")
    assert not any((tmp_path / "flights").glob("*/*"))


def test_a_process_that_ends_by_decision_blames_no_study(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path)
    with recorder.flight(STUDY):
        recorder.land()
    assert not any((tmp_path / "flights").iterdir())
    with recorder.flight(OTHER):  # it may end its queue
        pass


def test_of_another_machine_s_processes_nothing_is_known(tmp_path: Path) -> None:
    died(tmp_path, STUDY, host="elsewhere.example.org")
    assert FlightRecorder(tmp_path).deaths(STUDY) == 0


def test_an_old_death_is_forgotten(tmp_path: Path) -> None:
    died(tmp_path, STUDY)
    FlightRecorder(tmp_path)
    note = tmp_path / "deaths" / STUDY
    os.utime(note, (note.stat().st_mtime - KEPT_S - 1,) * 2)
    assert FlightRecorder(tmp_path).deaths(STUDY) == 0


def test_nothing_that_it_writes_is_readable_by_others(tmp_path: Path) -> None:
    died(tmp_path, STUDY)
    recorder = FlightRecorder(tmp_path)
    with recorder.flight(OTHER):
        modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "flights").rglob("*")]
    assert modes == [0] * len(modes)


def test_a_process_that_is_gone_has_no_start() -> None:
    assert started(os.getpid()).isdigit()
    assert started(2**22 + 1) == ""
