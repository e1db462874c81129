"""The embedded stack's parts that need no server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pydicom
import pytest
import yaml

from core.errors import StudyNotFound
from imaging.samples.synthetic import make_ct_study
from registry.process_group import MarkedProcesses
from serve_apps.embedded import lifecycle
from serve_apps.embedded.lifecycle import CONFIG, effective_config
from serve_apps.embedded.local_studies import study_of_folder
from serve_apps.embedded.processes import STACK_ID, end_processes, owned_processes
from serve_apps.embedded.ray_head import RayDidNotStart
from serve_apps.embedded.secrets import ensure_secrets
from serve_apps.embedded.stack_record import Stack
from serve_apps.settings import Settings

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_an_orphan_is_found_and_ended_and_a_stranger_is_left_alone() -> None:
    ours = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; subprocess.Popen({SLEEPER!r}); import time; time.sleep(60)",
        ],
        env=os.environ | {STACK_ID: "unit-test-stack"},
        start_new_session=True,
    )
    stranger = subprocess.Popen(SLEEPER, env=os.environ | {STACK_ID: "unit-test-stack-2"})
    try:
        while len(owned_processes("unit-test-stack")) < 2:
            assert ours.poll() is None
        ours.kill()  # its child is an orphan now
        ours.wait()
        assert end_processes("unit-test-stack").processes >= 1
        assert owned_processes("unit-test-stack") == ()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_descendant_that_has_lost_its_environment_is_found_by_its_parent() -> None:
    """Ray's dashboard modules overwrite their environment with their title."""
    nested = f"import subprocess, time; subprocess.Popen({SLEEPER!r}, env={{}}); time.sleep(60)"
    ours = subprocess.Popen([sys.executable, "-c", nested], env=os.environ | {STACK_ID: "unit-test-stack-3"})
    try:
        while len(owned_processes("unit-test-stack-3")) < 2:
            assert ours.poll() is None
        assert end_processes("unit-test-stack-3").processes == 2
        assert owned_processes("unit-test-stack-3") == ()
    finally:
        ours.kill()
        ours.wait()


def test_a_zombie_has_ended_although_nobody_reaps_it() -> None:
    """In a container whose first process reaps nobody, waiting for a zombie would last for ever."""
    nested = f"import subprocess, time; subprocess.Popen({SLEEPER!r}); time.sleep(60)"
    lazy = subprocess.Popen([sys.executable, "-c", nested], env=os.environ | {STACK_ID: "unit-test-stack-4"})
    stack = MarkedProcesses(STACK_ID, "unit-test-stack-4")
    try:
        while len(stack.marked()) < 2:
            assert lazy.poll() is None
        child = stack.marked()[-1]
        child.kill()
        started = time.monotonic()
        stack.wait_gone([child], 30.0)
        assert time.monotonic() - started < 5.0
        assert stack.marked() == (psutil.Process(lazy.pid),)
    finally:
        lazy.kill()
        lazy.wait()


def test_unmoved_ports_use_the_config_itself(tmp_path: Path) -> None:
    assert effective_config(Settings(state_dir=tmp_path)) == CONFIG


def test_moved_ports_use_a_copy_that_differs_in_nothing_else(tmp_path: Path) -> None:
    copy = yaml.safe_load(effective_config(Settings(state_dir=tmp_path, api_port=9001)).read_text())
    original = yaml.safe_load(CONFIG.read_text())
    assert copy["http_options"].pop("port") == 9001
    original["http_options"].pop("port")
    assert copy == original


def test_a_stack_is_known_again(tmp_path: Path) -> None:
    Stack("abc", ray_pid=7).save(tmp_path / "stack.json")
    assert Stack.load(tmp_path / "stack.json") == Stack("abc", ray_pid=7)
    assert Stack.load(tmp_path / "none.json") is None


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    paths = Settings(state_dir=tmp_path).paths
    ensure_secrets(paths)
    before = {path: path.read_bytes() for path in paths.keys.iterdir()}
    ensure_secrets(paths)
    assert {path: path.read_bytes() for path in paths.keys.iterdir()} == before
    for path in (paths.api_key, paths.pseudonym_key, paths.signing_key, paths.ray_token):
        assert path.stat().st_mode & 0o077 == 0


def written(folder: Path, seed: str) -> str:
    datasets = make_ct_study(seed=seed, slices=2, size=8)
    for number, dataset in enumerate(datasets):
        dataset.save_as(folder / f"{seed}-{number}", enforce_file_format=True)
    return str(datasets[0].StudyInstanceUID)


def test_a_folder_of_one_study_is_copied_to_the_inbox(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    study = written(folder, "a")
    (folder / "notes.txt").write_text("no DICOM")
    settings = Settings(state_dir=tmp_path / "state")
    assert study_of_folder(settings, folder) == (study, "inbox")
    copied = list((settings.paths.inbox / study).glob("*.dcm"))
    assert {pydicom.dcmread(path).StudyInstanceUID for path in copied} == {study}
    assert len(copied) == 2


def test_a_folder_of_two_studies_is_no_study(tmp_path: Path) -> None:
    written(tmp_path, "a")
    written(tmp_path, "b")
    with pytest.raises(StudyNotFound, match="2 studies"):
        study_of_folder(Settings(state_dir=tmp_path / "state"), tmp_path)


class Starts:
    """MLflow and Ray as `start_servers` starts them; each waits until the other one has begun, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        self.settings = settings
        self.ray_error: Exception | None = None
        self.both_have_begun = threading.Barrier(2, timeout=30)
        monkeypatch.setattr(lifecycle, "start_registry", self.registry)
        monkeypatch.setattr(lifecycle, "_start_head", self.head)

    def registry(self, settings: Settings, progress: object) -> int:
        self.both_have_begun.wait()
        return 11

    def head(self, settings: Settings, stack: Stack, progress: object) -> int | None:
        self.both_have_begun.wait()
        if self.ray_error is not None:
            raise self.ray_error
        return 22

    def run(self) -> Stack:
        return lifecycle.start_servers(self.settings, Stack("one"), print)


def test_mlflow_and_ray_come_up_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(state_dir=tmp_path)
    stack = Starts(monkeypatch, settings).run()
    assert stack == Stack("one", ray_pid=22, mlflow_pid=11)
    assert Stack.load(settings.paths.stack) == stack


def test_a_server_whose_neighbour_failed_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = Starts(monkeypatch, Settings(state_dir=tmp_path))
    starts.ray_error = RayDidNotStart("the Ray head ended")
    with pytest.raises(RayDidNotStart):
        starts.run()
    assert Stack.load(starts.settings.paths.stack) == Stack("one", mlflow_pid=11)
