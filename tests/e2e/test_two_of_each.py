"""Two ingresses and two workers, on SQLite and on PostgreSQL: whichever replica a call meets, it is one site."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from registry.client import RegistryClient
from serve_apps.embedded.ray_head import ray_environment
from tests.counting_proxy import CountingProxy
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import reports_in
from tests.orthanc import Orthanc
from tests.postgres import Postgres
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
PATIENTS = 12
MOST_STORED_MIB = (
    3  # Ray's own objects and what shadows may still read; the studies read here are 5 MiB together
)


@pytest.fixture(scope="module")
def own_pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("two-pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def proxy(own_pacs: Orthanc) -> Iterator[CountingProxy]:
    with CountingProxy(own_pacs.url) as counting:
        yield counting


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, new_stack: NewStack, proxy: CountingProxy) -> LiveStack:
    environment = {}
    if request.param == "postgresql":
        environment["SERINUS_LEDGER_URL"] = request.getfixturevalue("postgres").new_database()
    source = {"id": "pacs", "kind": "dicomweb", "base_url": f"{proxy.url}/dicom-web"}
    stack = new_stack(f"two-{request.param}", source, environment=environment)
    stack.scale(Ingress=2, JobWorker=2)
    return stack


@pytest.fixture
def studies(own_pacs: Orthanc, tmp_path: Path) -> list[str]:
    """A small head CT of each patient, new for each test; their study UIDs."""
    uids, salt = [], uuid.uuid4().hex
    for number in range(PATIENTS):
        datasets = make_ct_study(seed=f"{salt}-{number}", slices=10, size=64)
        paths = []
        for index, dataset in enumerate(datasets):
            dataset.PatientID = f"PATIENT-{number:03d}"
            paths.append(tmp_path / f"{number}-{index}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
        own_pacs.push(paths)
        uids.append(str(datasets[0].StudyInstanceUID))
    return uids


def ledger_of(site: LiveStack) -> Ledger:
    return Ledger.open(site.environment.get("SERINUS_LEDGER_URL", site.settings.ledger))


def read(site: LiveStack, study: str) -> dict[str, object]:
    with site.http() as http:
        body = {"study_uid": study, "source": "pacs", "model": MODEL, "force": True}
        answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
    assert answer.status_code == 200, answer.text
    result: dict[str, object] = answer.json()
    return result


def test_a_repeated_submission_is_one_job_whichever_ingress_it_meets(
    site: LiveStack, studies: list[str]
) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"study_uid": studies[0], "source": "pacs", "model": MODEL}

    def submit(_: int) -> tuple[int, str]:
        with site.http() as http:
            answer = http.post("/v1/jobs", json=body, headers=headers)
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(10) as pool:
        answers = set(pool.map(submit, range(20)))
    assert len(answers) == 1, answers
    (_, job) = answers.pop()
    assert site.finished(job)["state"] == "completed"
    with site.http() as http:
        assert len(http.get("/v1/jobs", params={"study_uid": studies[0]}).json()["jobs"]) == 1


def test_a_caller_hears_of_the_end_in_any_ingress(
    site: LiveStack, proxy: CountingProxy, studies: list[str]
) -> None:
    """The study takes two seconds; callers that ask for it in turn meet both replicas, and all hear of its end.

    That they hear by a push, and not when they look again, is shown by unit tests, where time does not count.
    """
    proxy.delay_s = 2.0
    try:
        job = site.submit(studies[0], "pacs", model=MODEL)

        def wait(_: int) -> str:
            with site.http() as http:
                return str(http.get(f"/v1/jobs/{job}", params={"wait": 60}).json()["state"])

        with ThreadPoolExecutor(8) as pool:
            states = list(pool.map(wait, range(8)))
    finally:
        proxy.delay_s = 0.0
    assert states == ["completed"] * 8


def test_a_cancelled_study_is_read_by_nobody(
    site: LiveStack, proxy: CountingProxy, own_pacs: Orthanc, studies: list[str]
) -> None:
    proxy.delay_s = 3.0
    try:
        jobs = [site.submit(study, "pacs", model=MODEL) for study in studies]
        with site.http() as http:
            for job in jobs:
                assert http.delete(f"/v1/jobs/{job}").status_code == 202
    finally:
        proxy.delay_s = 0.0
    time.sleep(4.0)
    with site.http() as http:
        states = {http.get(f"/v1/jobs/{job}").json()["state"] for job in jobs}
    assert states == {"canceled"}
    assert not any(reports_in(own_pacs, study) for study in studies)


def test_patients_stay_with_their_version_and_every_study_is_fetched_once(
    site: LiveStack, proxy: CountingProxy, studies: list[str]
) -> None:
    """Half of the patients are the canary's; a shadow and the safety net read beside, from the same fetch."""
    proxy.retrieved.clear()
    alone = read(site, studies[0])
    assert alone["model"]["version"] == "1"  # type: ignore[index]
    once = proxy.retrieved[studies[0]]
    assert once > 0
    registry = RegistryClient(site.settings.registry_url)
    registry.set_alias(MODEL, "challenger", "2")
    registry.set_alias(MODEL, "shadow-next", "3")
    for version in ("2", "3"):
        eventually(
            lambda v=version: state_of(site, v) == "warm" or None, 120, f"version {version} to be warm"
        )
    site.run("route", "set-weight", MODEL, "2", "50")
    proxy.retrieved.clear()
    rounds = [{study: str(read(site, study)["model"]["version"]) for study in studies} for _ in range(3)]  # type: ignore[index]
    assert rounds[0] == rounds[1] == rounds[2], "a patient changed its version"
    assert set(rounds[0].values()) == {"1", "2"}
    ledger = ledger_of(site)
    expected = 3 * PATIENTS
    eventually(
        lambda: sum(r.version == "3" for r in ledger.shadows.outcomes(MODEL, 500)) >= expected or None,
        120,
        "every shadow inference",
    )
    shadows = [r for r in ledger.shadows.outcomes(MODEL, 500) if r.version == "3" and r.role == "shadow"]
    assert len({r.job_id for r in shadows}) == len(shadows) == expected, "a shadow ran twice or never"
    assert all(r.error_code is None for r in shadows)
    assert {proxy.retrieved[study] for study in studies} == {3 * once}, "a study was fetched again"
    for alias in ("challenger", "shadow-next"):
        registry.delete_alias(MODEL, alias)


def state_of(site: LiveStack, version: str) -> str | None:
    with site.http() as http:
        rows = http.get("/v1/models").raise_for_status().json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)


def test_of_the_volumes_that_were_read_only_those_are_kept_that_shadows_may_read(site: LiveStack) -> None:
    """Of all studies above: those that were read, cancelled under a slow PACS, and shadowed."""
    eventually(
        lambda: stored_mib(site) <= MOST_STORED_MIB or None, 30, f"at most {MOST_STORED_MIB} MiB in the store"
    )


def stored_mib(site: LiveStack) -> int:
    """How much Ray's object store holds, in whole MiB."""
    look = "from ray.scripts.scripts import cli; cli(['memory', '--stats-only'])"
    done = subprocess.run(
        [sys.executable, "-c", look],
        env=site.environment | ray_environment(site.settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (number,) = re.findall(r"Plasma memory usage (\d+) MiB, \d+ objects", done.stdout)
    return int(number)
