"""What a site depends on goes away for a while: a PACS, the ledger's database, the control state. Nothing is lost.

One stack on PostgreSQL with two PACSs, each behind a proxy that can be slow, hang or refuse. Times are shortened.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from imaging.samples.synthetic import make_ct_study
from ledger import Ledger
from ledger.tables import control_state
from registry.client import RegistryClient
from tests.counting_proxy import CountingProxy
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import reports_in
from tests.load import Load
from tests.orthanc import Orthanc
from tests.postgres import Postgres
from tests.receiver import Receiver
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
FETCH_TIMEOUT_S = 12
SHADOW_AGE_S = 2
ENVIRONMENT = {
    "SERINUS_FETCH_TIMEOUT_S": str(FETCH_TIMEOUT_S),
    "SERINUS_DELIVERY_TIMEOUT_S": "10",
    "SERINUS_MODEL_FAILED_ATTEMPTS": "2",
    "SERINUS_SHADOW_MAX_WAIT_S": str(SHADOW_AGE_S),
}
MORE_THAN_SLOTS = 10
AWAY_S = 12.0
UNREADABLE, OLDER = "cannot be read", "is older than"


@dataclass(frozen=True)
class Pacs:
    """A source of the stack: an Orthanc behind its proxy."""

    source: str
    orthanc: Orthanc
    proxy: CountingProxy

    @property
    def settings(self) -> dict[str, str]:
        return {"id": self.source, "kind": "dicomweb", "base_url": f"{self.proxy.url}/dicom-web"}

    def studies(self, folder: Path, name: str, number: int) -> list[str]:
        """New head CTs of as many patients; their study UIDs."""
        uids = []
        for index in range(number):
            paths = []
            datasets = make_ct_study(seed=f"{name}-{index}", slices=10, size=64)
            for place, dataset in enumerate(datasets):
                dataset.PatientID = f"{name}-{index}"
                paths.append(folder / f"{name}-{index}-{place}.dcm")
                dataset.save_as(paths[-1], enforce_file_format=True)
            self.orthanc.push(paths)
            uids.append(str(datasets[0].StudyInstanceUID))
        return uids


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="module")
def ledger_url(postgres: Postgres) -> str:
    return postgres.new_database()


def a_pacs(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    with Orthanc(tmp_path_factory.mktemp(source)) as orthanc, CountingProxy(orthanc.url) as proxy:
        yield Pacs(source, orthanc, proxy)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    yield from a_pacs("pacs", tmp_path_factory)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    yield from a_pacs("other", tmp_path_factory)


@pytest.fixture(scope="module")
def site(new_stack: NewStack, pacs: Pacs, other: Pacs, ledger_url: str) -> LiveStack:
    environment = ENVIRONMENT | {"SERINUS_LEDGER_URL": ledger_url}
    return new_stack("outages", pacs.settings, other.settings, environment=environment)


def submit_all(site: LiveStack, pacs: Pacs, studies: list[str], **more: Any) -> list[str]:
    return [site.submit(study, pacs.source, model=MODEL, **more) for study in studies]


def jobs_of(site: LiveStack, ids: list[str]) -> list[dict[str, Any]]:
    with site.http() as http:
        return [http.get(f"/v1/jobs/{job}").raise_for_status().json() for job in ids]


def states_of(site: LiveStack, ids: list[str]) -> set[str]:
    return {job["state"] for job in jobs_of(site, ids)}


def errors_of(site: LiveStack, ids: list[str]) -> set[str | None]:
    """The codes of the jobs' last failures; None: one has not failed yet."""
    return {job["error"] and job["error"]["code"] for job in jobs_of(site, ids)}


def is_ready(site: LiveStack) -> bool:
    with site.http() as http:
        return http.get("/readyz").status_code == httpx.codes.OK


def state_of(site: LiveStack, version: str) -> str | None:
    with site.http() as http:
        rows = http.get("/v1/models").raise_for_status().json()["variants"]
    return next((v["state"] for v in rows if v["model"] == MODEL and v["version"] == version), None)


def alarms_of(site: LiveStack) -> str:
    with site.http() as http:
        alarms = http.get("/v1/models").raise_for_status().json()["alarms"]
    return "; ".join(f"{subject}: {alarm}" for subject, alarm in alarms.items())


def reader_of(site: LiveStack, study: str) -> str:
    """The version that reads the study."""
    with site.http() as http:
        body = {"study_uid": study, "source": "pacs", "model": MODEL}
        answer = http.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
    assert answer.status_code == httpx.codes.OK, answer.text
    return str(answer.json()["model"]["version"])


def assert_each_is_read_once(site: LiveStack, pacs: Pacs, studies: list[str], ids: list[str]) -> None:
    for job in ids:
        finished = site.finished(job, within_s=90)
        assert (finished["state"], finished["undelivered"]) == ("completed", []), finished
    assert [len(reports_in(pacs.orthanc, study)) for study in studies] == [1] * len(studies)


def test_a_pacs_that_hangs_holds_up_no_reading_delivery_or_callback_of_another(
    site: LiveStack, pacs: Pacs, other: Pacs, tmp_path: Path
) -> None:
    """Where one waited for the other, it would wait until a request to the one that hangs is given up."""
    stored, unread = pacs.studies(tmp_path, "stored", 6), pacs.studies(tmp_path, "unread", MORE_THAN_SLOTS)
    read = other.studies(tmp_path, "read", 5)
    with Receiver() as receiver:
        pacs.proxy.hanging = frozenset({"POST"})
        storing = submit_all(site, pacs, stored)
        eventually(lambda: states_of(site, storing) == {"storing"} or None, 30, "the reports to be stored")
        pacs.proxy.hanging = frozenset({"GET", "POST"})
        hung = submit_all(site, pacs, unread)
        ids = submit_all(site, other, read, callback=receiver.url)
        assert_each_is_read_once(site, other, read, ids)
        assert len(receiver.calls) == len(read)
        assert states_of(site, hung) <= {"queued", "running"}
        assert errors_of(site, hung) == {None}, "the other waited until this one was given up"
        pacs.proxy.hanging = frozenset()
    assert_each_is_read_once(site, pacs, [*stored, *unread], [*storing, *hung])


def test_every_study_of_a_pacs_that_was_away_or_too_slow_is_read_in_the_end(
    site: LiveStack, pacs: Pacs, tmp_path: Path
) -> None:
    studies = pacs.studies(tmp_path, "away", 4)
    pacs.orthanc.stop()
    jobs = submit_all(site, pacs, studies)
    eventually(lambda: errors_of(site, jobs) == {"source-unavailable"} or None, 30, "all to have failed once")
    pacs.proxy.delay_s = FETCH_TIMEOUT_S + 3
    pacs.orthanc.start()
    eventually(lambda: "source-timeout" in errors_of(site, jobs) or None, 60, "a study to be too slow")
    pacs.proxy.delay_s = 0.0
    assert_each_is_read_once(site, pacs, studies, jobs)


def test_a_report_that_a_pacs_refuses_for_good_is_a_dead_letter_in_the_status(
    site: LiveStack, other: Pacs, tmp_path: Path
) -> None:
    (study,) = other.studies(tmp_path, "refused", 1)
    other.proxy.refusal = httpx.codes.BAD_REQUEST
    (job,) = submit_all(site, other, [study])
    finished = site.finished(job, within_s=60)
    other.proxy.refusal = None
    assert (finished["state"], finished["undelivered"]) == (
        "completed",
        ["stow of sr: result-store-rejected"],
    )
    status = site.run("status")
    (letter,) = [letter for letter in status["queue"]["dead_letters"] if letter["job_id"] == job]
    assert (letter["destination"], letter["error"]) == ("other", "result-store-rejected")
    assert status["models"]["alarms"]


def test_while_the_ledger_is_away_callers_are_told_to_come_back_and_no_accepted_study_is_lost(
    site: LiveStack, postgres: Postgres, pacs: Pacs, tmp_path: Path
) -> None:
    studies = pacs.studies(tmp_path, "ledger", 6)
    pacs.proxy.delay_s = 2.0
    jobs = submit_all(site, pacs, studies)
    eventually(lambda: "running" in states_of(site, jobs) or None, 30, "a study to be read")
    postgres.stop()
    pacs.proxy.delay_s = 0.0
    try:
        answers = answers_while_away(site, jobs[0])
    finally:
        postgres.start()
    assert {(status, code) for status, code, _ in answers} == {(503, "ledger-unavailable")}
    assert all(int(retry_after) >= 1 for *_, retry_after in answers)
    eventually(lambda: is_ready(site) or None, 30, "the site to be ready again")
    assert_each_is_read_once(site, pacs, studies, jobs)
    assert {job["attempt"] for job in jobs_of(site, jobs)} == {1}, "a restart of the database was an attempt"


def answers_while_away(site: LiveStack, job: str) -> list[tuple[int, str, str]]:
    """What callers and the load balancer hear: status, code and Retry-After of each answer."""
    heard: list[httpx.Response] = []
    end = time.monotonic() + AWAY_S
    with site.http() as http:
        while time.monotonic() < end:
            body = {"study_uid": "2.25.1", "source": "pacs", "model": MODEL}
            heard += [
                http.post("/v1/jobs", json=body),
                http.get(f"/v1/jobs/{job}", params={"wait": 5}),
                http.get("/readyz"),
            ]
            assert http.get("/healthz").status_code == httpx.codes.OK
    return [(answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) for answer in heard]


def test_whatever_befalls_the_control_state_routers_go_on_and_say_so_and_a_freeze_arrives(
    site: LiveStack, pacs: Pacs, ledger_url: str, canary: str, tmp_path: Path
) -> None:
    """The controller is stopped, so that it mends nothing: a record that is damaged, lost, and from a backup."""
    studies = iter(pacs.studies(tmp_path, "control", 6))
    site.run("route", "set-weight", MODEL, canary, "50")
    record = ControlRow(ledger_url)
    site.run("route", "set-weight", MODEL, canary, "100")
    eventually(lambda: record.is_older_than_the_ledger or None, 20, "the weight to be recorded")
    (controller,) = site.processes("ServeReplica:serinus:RolloutController")
    os.kill(controller, signal.SIGSTOP)
    try:
        for befall, alarm in ((record.damage, UNREADABLE), (record.lose, OLDER), (record.put_back, OLDER)):
            befall()
            eventually(lambda said=alarm: said in alarms_of(site) or None, 20, f"the alarm: {alarm}")
            assert reader_of(site, next(studies)) == canary
        frozen = site.run("freeze", "a drill")
        assert (frozen["recorded"], frozen["unconfirmed"]) == (True, 0)
        assert reader_of(site, next(studies)) == "1"
    finally:
        os.kill(controller, signal.SIGKILL)
    eventually(
        lambda: not any(alarm in alarms_of(site) for alarm in (UNREADABLE, OLDER)) or None,
        60,
        "a mended record",
    )
    site.run("unfreeze")
    assert reader_of(site, next(studies)) == canary


def shadows_done(site: LiveStack, ledger_url: str) -> int:
    return sum(shadow.error_code is None for shadow in Ledger.open(ledger_url).shadows.outcomes(MODEL, 500))


def test_a_shadow_reads_under_a_steady_load_once_it_is_old_enough(
    site: LiveStack, pacs: Pacs, canary: str, ledger_url: str, tmp_path: Path
) -> None:
    site.run("route", "set-weight", MODEL, canary, "0")
    studies = {str(n): study for n, study in enumerate(pacs.studies(tmp_path, "steady", 6))}
    with Load(site, studies, MODEL, callers=4) as load:
        load.wait_for(10)
        before = shadows_done(site, ledger_url)
        load.wait_for(20)
        eventually(
            lambda: shadows_done(site, ledger_url) >= before + 3 or None, 30, "shadows beside the load"
        )
    assert load.failures == []


@pytest.fixture(scope="module")
def canary(site: LiveStack) -> str:
    """A version that reads every study, until somebody freezes."""
    RegistryClient(site.settings.registry_url).set_alias(MODEL, "challenger", "2")
    eventually(lambda: state_of(site, "2") == "warm" or None, 120, "version 2 to be warm")
    site.run("route", "set-weight", MODEL, "2", "100")
    return "2"


class ControlRow:
    """A backup of the control state's row, and what may befall the one in the database."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        self._backup = self._read()

    @property
    def is_older_than_the_ledger(self) -> bool:
        return bool(self._read()["generation"] > self._backup["generation"])

    def damage(self) -> None:
        """A newer one, of which a part was written."""
        newer = control_state.c.generation + 1
        self._write(sa.update(control_state).values(generation=newer, snapshot="{"))

    def lose(self) -> None:
        self._write(sa.delete(control_state))

    def put_back(self) -> None:
        self._write(sa.insert(control_state).values(**self._backup))

    def _read(self) -> dict[str, Any]:
        with self._engine.connect() as connection:
            return dict(connection.execute(sa.select(control_state)).mappings().one())

    def _write(self, statement: sa.Executable) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)
