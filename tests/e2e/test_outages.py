"""What a site depends on goes away for a while, or hangs. Nothing is lost, and nobody waits for another's outage.

One stack on PostgreSQL with two PACSs, each behind a proxy that can be slow, hang or refuse. Times are shortened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from imaging.samples.synthetic import make_ct_study
from tests.counting_proxy import CountingProxy
from tests.e2e.conftest import NewStack
from tests.e2e.pacs import reports_in
from tests.orthanc import Orthanc
from tests.postgres import Postgres
from tests.receiver import Receiver
from tests.stack import LiveStack, eventually

MODEL = "ich-triage"
FETCH_TIMEOUT_S = 12
ENVIRONMENT = {
    "SERINUS_FETCH_TIMEOUT_S": str(FETCH_TIMEOUT_S),
    "SERINUS_DELIVERY_TIMEOUT_S": "10",
    "SERINUS_MODEL_FAILED_ATTEMPTS": "2",
}
MORE_THAN_SLOTS = 10


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
