"""A process that reads one study at a time: it answers with the volume itself, and its end is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import ReplicaDied, StudyNotFound
from core.priority import Priority, queue_order
from core.study import StudyRef
from imaging.samples.synthetic import make_ct_study
from imaging.series import SeriesRule
from serve_apps.adapters.apart_readers import ApartProcess
from serve_apps.application.messages import EligibleModel, FetchRequest
from serve_apps.settings import FolderSourceSettings, Settings
from tests.bombs import write_study

ROOT = Path(__file__).parents[2]
CT = EligibleModel("ich-triage", SeriesRule(("CT",)))


def a_request(study_uid: str) -> FetchRequest:
    order = queue_order(Priority.ROUTINE, datetime(2026, 11, 30, tzinfo=UTC))
    return FetchRequest(StudyRef("folder", study_uid), (CT,), order, 30.0)


def test_it_starts_without_what_it_does_not_need() -> None:
    code = "import serve_apps.adapters.apart_process, sys; print({'ray', 'sqlalchemy', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_it_reads_one_study_after_the_other_until_something_ends_it(tmp_path: Path) -> None:
    study = write_study(make_ct_study("apart", slices=6, size=32), tmp_path / "studies")
    source = FolderSourceSettings(id="folder", kind="folder", root=tmp_path / "studies")
    process = ApartProcess(Settings(state_dir=tmp_path / "state", sources=(source,)))
    try:
        assert process.read(a_request(study)).volume.voxels.shape == (6, 32, 32)
        with pytest.raises(StudyNotFound):
            process.read(a_request("1.2.3"))
        assert process.read(a_request(study)).model == "ich-triage"
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ReplicaDied, match="ended with -9"):
            process.read(a_request(study))
    finally:
        process.end()
