"""No patient datum in a log, a span or an error: everything a stack wrote is searched for what the study holds."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from observability.names import STAGE_SPANS, STUDY_SPAN, Stage
from serve_apps.embedded.ray_head import ray_directory
from tests.orthanc import Orthanc
from tests.stack import LiveStack, eventually

CONTEXT = {"referrer": "Dr Hohenfels-Quiney", "service": "ward-of-the-privacy-test"}


@pytest.fixture(scope="module")
def secrets(stack: LiveStack, pacs: Orthanc, head_ct: Path) -> list[bytes]:
    """What identifies the patient and the study, after the study was read in every way, good and bad."""
    files = sorted(head_ct.rglob("*.dcm"))
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    pacs.push(files)
    study = str(header.StudyInstanceUID)
    stack.finished(stack.submit(study, "pacs", model="ich-triage", context=CONTEXT))
    stack.finished(stack.submit(study, "pacs", series_uids=["1.2.3.99"]))
    stack.finished(stack.submit(study, "pacs", model="brain-volume", context=CONTEXT))
    with stack.http() as http:
        http.get("/v1/jobs", params={"study_uid": study})
        http.post(f"/v1/studies/{study}/complete")
        http.get(f"/dicom-web/studies/{study}")
    found = [study, str(header.SeriesInstanceUID), str(header.SOPInstanceUID), str(header.PatientName)]
    return [*(each.encode() for each in (*found, *CONTEXT.values())), str(header.PatientID).encode()]


def log_files(stack: LiveStack) -> Iterator[Path]:
    ray = Path(stack.settings.paths.ray)
    roots = [stack.settings.paths.logs, stack.settings.paths.mlflow, ray, *ray.parent.glob("ray*")]
    roots += [path for path in Path("/tmp").glob("serinus-*") if path.is_dir()]
    for root in {root.resolve() for root in roots if root.exists()}:
        yield from (
            path for path in root.rglob("*") if path.suffix in (".log", ".out", ".err") and path.is_file()
        )


def test_no_log_names_the_patient(stack: LiveStack, secrets: list[bytes]) -> None:
    searched = 0
    for path in log_files(stack):
        text = path.read_bytes()
        searched += len(text)
        leaked = [index for index, secret in enumerate(secrets) if secret in text]
        assert not leaked, f"{path.name} holds secret number {leaked}"
    assert searched > 10_000


def test_a_trace_per_study_reaches_mlflow_without_the_patient(stack: LiveStack, secrets: list[bytes]) -> None:
    database = stack.settings.paths.mlflow / "mlflow.db"

    def spans() -> list[tuple[str, ...]] | None:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            rows = connection.execute("select name, content from spans").fetchall()
        return rows if any(name == STUDY_SPAN for name, _ in rows) else None

    rows = eventually(spans, 30, "a trace")
    names = {name for name, _ in rows}
    stages = (Stage.QUEUE, Stage.FETCH, Stage.DECODE, Stage.FORWARD, Stage.REPORT, Stage.STORE)
    assert {STAGE_SPANS[stage] for stage in stages} <= names
    for _, content in rows:
        assert not any(secret in content.encode() for secret in secrets)


def test_the_whole_mlflow_store_knows_no_patient(stack: LiveStack, secrets: list[bytes]) -> None:
    for path in stack.settings.paths.mlflow.rglob("mlflow.db*"):
        text = path.read_bytes()
        assert not any(secret in text for secret in secrets)


def test_what_a_stack_wrote_is_readable_by_its_owner_only(stack: LiveStack, secrets: list[bytes]) -> None:
    """Whoever wrote it: the command, Ray and its workers, MLflow's server, SQLite beside its databases.

    Ray opens its own folders to everybody; they lie in a private one.
    """
    ray = ray_directory(stack.settings)
    roots = {stack.settings.state_dir, ray.parent}
    found = {path: path.lstat().st_mode for root in roots for path in (root, *root.rglob("*"))}
    names = {path.name for path in found}
    assert {"ledger.db", "ledger.db-wal", "ledger.db-shm", "mlflow.db", "keys", "model-cache"} <= names
    in_question = {
        path: mode
        for path, mode in found.items()
        if stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and not path.is_relative_to(ray))
    }
    assert roots <= in_question.keys()
    assert [path for path, mode in in_question.items() if mode & 0o077] == []
