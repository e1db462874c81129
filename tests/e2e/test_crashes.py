"""`kill -9` of any part, and of everything: each accepted study is completed once, with one report in the PACS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.samples.synthetic import make_ct_study
from serve_apps.embedded.health import registry_answers
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import reports_in
from tests.orthanc import Orthanc
from tests.stack import LiveStack, eventually

STUDIES = 6


@pytest.fixture(scope="module")
def own_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("crash-pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def own_stack(new_stack: NewStack, own_pacs: Orthanc) -> LiveStack:
    return new_stack("crash", {"id": "pacs", "kind": "dicomweb", "base_url": own_pacs.dicomweb_url})


@pytest.mark.parametrize(
    "victim",
    [
        "ServeReplica:serinus:Ingress",
        "ServeReplica:serinus:JobWorker",
        "ServeReplica:serinus:StudyReader",
        "ServeReplica:mv-ich-triage-1:ModelServer",
    ],
)
def test_a_killed_replica_loses_no_study(
    own_stack: LiveStack, own_pacs: Orthanc, tmp_path: Path, victim: str
) -> None:
    studies = some_studies(own_pacs, tmp_path, victim)
    jobs = [own_stack.submit(study, "pacs", model="ich-triage") for study in studies]
    wait_until_running(own_stack, jobs)
    assert own_stack.kill(victim) >= 1
    assert_each_is_read_once(own_stack, own_pacs, studies, jobs)


def test_a_power_cut_loses_no_study_and_a_supervisor_keeps_the_stack_up_after_it(
    own_stack: LiveStack, own_pacs: Orthanc, tmp_path: Path
) -> None:
    studies = some_studies(own_pacs, tmp_path, "power")
    jobs = [own_stack.submit(study, "pacs", model="ich-triage") for study in studies]
    wait_until_running(own_stack, jobs)
    own_stack.kill_everything()
    assert own_stack.alive == 0
    supervisor = own_stack.up_in_foreground()
    try:
        assert_each_is_read_once(own_stack, own_pacs, studies, jobs)
        assert own_stack.kill("mlflow") >= 1
        eventually(lambda: registry_answers(own_stack.settings) or None, 60, "MLflow to be started again")
        assert supervisor.poll() is None, "MLflow's end is no reason to end anything else"
        assert own_stack.kill("raylet/raylet") == 1
        assert supervisor.wait(120) == 1
        assert own_stack.alive == 0
    finally:
        supervisor.kill()
        supervisor.wait()


def test_down_leaves_no_process(own_stack: LiveStack) -> None:
    own_stack.down()
    assert own_stack.alive == 0


def some_studies(pacs: Orthanc, folder: Path, seed: str) -> list[str]:
    """Small head CTs of different patients, stored in the PACS; their study UIDs."""
    studies = []
    for number in range(STUDIES):
        datasets = make_ct_study(seed=f"{seed}-{number}", slices=24, size=256)
        paths = []
        for index, dataset in enumerate(datasets):
            path = folder / f"{number}-{index}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
        pacs.push(paths)
        studies.append(str(datasets[0].StudyInstanceUID))
    return studies


def wait_until_running(stack: LiveStack, jobs: list[str]) -> None:
    def running() -> bool | None:
        with stack.http() as http:
            states = [http.get(f"/v1/jobs/{job}").json()["state"] for job in jobs]
        return True if any(state in ("running", "storing", "completed") for state in states) else None

    eventually(running, 60, "a job to run")


def assert_each_is_read_once(stack: LiveStack, pacs: Orthanc, studies: list[str], jobs: list[str]) -> None:
    for job in jobs:
        finished = stack.finished(job, within_s=180)
        assert finished["state"] == "completed", finished["error"]
        assert finished["undelivered"] == []
    for study in studies:
        assert len(reports_in(pacs, study)) == 1
