"""`kill -9` at any moment: what was acknowledged is there, and each job is completed exactly once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.study import StudyRef
from ledger import Delivery, JobRequest, JobState, LeaseLost, Ledger
from tests.unit.ledger.routed import claim_due

ROOT = Path(__file__).parents[3]
JOBS = 60
MANY = 150  # enough that work is left after the last kill
WITHIN_S = 90.0


class Crew:
    """Processes that are killed with SIGKILL, and all of them at the end."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._alive: list[subprocess.Popen[bytes]] = []
        self._names = 0

    def start(self, role: str, out: str) -> subprocess.Popen[bytes]:
        self._names += 1
        name = [] if role == "submit" else [f"{role}-{self._names}"]
        module = "tests.integration.ledger.worker"
        command = [sys.executable, "-m", module, role, self._url, str(self._folder / out), *name]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
        self._alive.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        self._alive.remove(process)

    def lines(self, out: str) -> list[str]:
        path = self._folder / out
        return path.read_text().splitlines() if path.exists() else []

    def end(self) -> None:
        for process in list(self._alive):
            self.kill(process)


@pytest.fixture
def crew(either_url: str, tmp_path: Path) -> Iterator[Crew]:
    started = Crew(either_url, tmp_path)
    yield started
    started.end()


@pytest.fixture
def opened(either_url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(either_url)
    yield ledger
    ledger.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def submit_all(ledger: Ledger, number_of_jobs: int = JOBS) -> list[str]:
    requests = (JobRequest(StudyRef("pacs", f"1.{number}")) for number in range(number_of_jobs))
    return [ledger.jobs.submit(request, idempotency_key=None, tenant="ris").job.id for request in requests]


def test_every_acknowledged_job_survives_the_death_of_who_wrote_it(crew: Crew, opened: Ledger) -> None:
    for least in (20, 40, 60):
        process = crew.start("submit", "submitted")
        until(lambda least=least: len(crew.lines("submitted")) >= least)  # type: ignore[misc]
        crew.kill(process)
    acknowledged = crew.lines("submitted")
    assert {opened.jobs.get(job).state for job in acknowledged} == {JobState.QUEUED}


def test_each_job_is_completed_once_though_workers_are_killed_in_the_middle(
    crew: Crew, opened: Ledger
) -> None:
    jobs = submit_all(opened, MANY)
    chance = random.Random(3)
    workers = [crew.start("work", "completed") for _ in range(2)]
    for _ in range(6):
        seen = len(crew.lines("completed"))
        until(lambda seen=seen: len(crew.lines("completed")) > seen)  # type: ignore[misc]
        time.sleep(chance.random() * 0.05)
        crew.kill(workers.pop(0))
        workers.append(crew.start("work", "completed"))
    until(lambda: opened.jobs.counts()["storing"] == MANY)
    told = Counter(line.split()[0] for line in crew.lines("completed"))
    assert max(told.values()) == 1
    assert set(told) <= set(jobs)
    assert any(opened.jobs.get(job).losses > 0 for job in jobs)
    assert {opened.jobs.get(job).attempt for job in jobs} == {1}, "a kill costs no attempt"
    assert all(opened.jobs.document(job, "sr") == opened.jobs.result(job)["by"].encode() for job in jobs)


def test_each_result_is_delivered_though_its_bearers_are_killed_in_the_middle(
    crew: Crew, opened: Ledger
) -> None:
    jobs = submit_all(opened)
    for claimed in claim_due(opened, JOBS, lease_s=60):
        complete(opened, claimed.token)
    bearers = [crew.start("deliver", "delivered") for _ in range(2)]
    for least in (5, 20, 35):
        until(lambda least=least: len(crew.lines("delivered")) >= least)  # type: ignore[misc]
        crew.kill(bearers.pop(0))
        bearers.append(crew.start("deliver", "delivered"))
    until(lambda: opened.jobs.counts()["completed"] == JOBS)
    assert {line.split()[0] for line in crew.lines("delivered")} == set(jobs)


def test_a_stopped_worker_that_wakes_up_after_another_took_its_job_changes_nothing(opened: Ledger) -> None:
    (job,) = submit_all(opened, 1)
    slow = opened.leases.claim(job, "slow", -1)
    again = opened.leases.claim(job, "b", 60)
    assert slow is not None
    assert again is not None
    with pytest.raises(LeaseLost):
        complete(opened, slow.token)
    complete(opened, again.token)
    with pytest.raises(LeaseLost):
        complete(opened, slow.token)


def complete(ledger: Ledger, token: str) -> None:
    ledger.leases.complete(
        token,
        result={},
        documents_by_kind={"sr": b"DICM"},
        deliveries_to_make=[Delivery("stow", "pacs", "sr")],
        stages_s={},
        model="ich",
    )
