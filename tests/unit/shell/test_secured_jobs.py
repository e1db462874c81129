"""Who is told that a job is accepted is told when the disk has it; who waits for the result need not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from core.study import StudyRef
from ledger import Job, JobRequest, JobState, Submitted
from serve_apps.application.callers import Caller
from serve_apps.application.jobs import JobResult, JobService
from serve_apps.application.messages import JobOutcome
from serve_apps.settings import INBOX, Settings
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import Here
from tests.unit.shell.worker_fakes import a_job

CALLER = Caller("ris", frozenset(), "ris")
REQUEST = JobRequest(StudyRef(INBOX, "1.2.3"))
JOB = a_job()
RESULT = JobOutcome(JOB.id, JobState.COMPLETED, {"findings": []})


class Disk:
    """A ledger of one job that notes how it is written; a job that is `there` was made by an earlier call."""

    def __init__(self, there: bool = False) -> None:
        self.jobs = self
        self.notes: list[str] = []
        self._there = there

    def open_jobs(self) -> int:
        return 0

    def submit(self, request: JobRequest, *, durable: bool, **_: Any) -> Submitted:
        self.notes.append("durable" if durable else "written")
        return Submitted(JOB, self._there)

    def secure(self, job_id: str) -> None:
        assert job_id == JOB.id
        self.notes.append("secured")


class Follower:
    """Begins nothing; the worker's answer is `outcome`, and the job then stands as `job`."""

    def __init__(self, outcome: JobOutcome | None = None, job: Job = JOB) -> None:
        self._outcome = outcome
        self._job = job

    def begin(self, job: Job, waiter_s: float | None = None) -> None: ...

    def begin_in(self, job: Job, pause_s: float) -> None: ...

    async def outcome(self, job_id: str, within_s: float) -> JobOutcome | None:
        return self._outcome

    async def follow(self, job_id: str, within_s: float) -> Job:
        return self._job

    async def tell_ended(self, job_id: str) -> None: ...


def service(disk: Disk, folder: Path, follower: Follower, **settings: Any) -> JobService:
    snapshot: Callable[[], Any] = lambda: a_snapshot(a_version())  # noqa: E731
    return JobService(Settings(state_dir=folder, **settings), cast(Any, disk), snapshot, follower, Here())


async def test_a_caller_who_does_not_wait_is_told_of_a_job_that_the_disk_has(tmp_path: Path) -> None:
    disk = Disk()
    await service(disk, tmp_path, Follower()).submit(REQUEST, CALLER, None)
    assert disk.notes == ["durable"]


async def test_a_caller_who_gets_the_result_has_waited_for_the_disk_once(tmp_path: Path) -> None:
    disk = Disk()  # the result itself is synced when it is written, and what was written before with it
    jobs = service(disk, tmp_path, Follower(RESULT))
    submitted = await jobs.submit(REQUEST, CALLER, None, 30)
    assert isinstance(await jobs.wait_for_result(submitted.job, 30), JobResult)
    assert disk.notes == ["written"]


async def test_a_caller_whose_time_is_over_is_told_when_the_disk_has_the_job(tmp_path: Path) -> None:
    disk = Disk()
    jobs = service(disk, tmp_path, Follower())
    submitted = await jobs.submit(REQUEST, CALLER, None, 0.0)
    assert await jobs.wait_for_result(submitted.job, 0.0) is JOB
    assert disk.notes == ["written", "secured"]


async def test_a_caller_who_may_not_wait_is_told_when_the_disk_has_the_job(tmp_path: Path) -> None:
    disk = Disk()
    jobs = service(disk, tmp_path, Follower(RESULT), max_waiting_callers=1)
    jobs.waiting = 1
    submitted = await jobs.submit(REQUEST, CALLER, None, 30)
    assert await jobs.wait_for_result(submitted.job, 30) is JOB
    assert disk.notes == ["written", "secured"]


async def test_a_job_that_another_caller_still_waits_for_is_secured_for_the_second(tmp_path: Path) -> None:
    disk = Disk(there=True)
    await service(disk, tmp_path, Follower()).submit(REQUEST, CALLER, "key")
    assert disk.notes == ["durable", "secured"]


async def test_an_end_needs_no_securing(tmp_path: Path) -> None:
    disk = Disk()
    failed = replace(JOB, state=JobState.FAILED)
    jobs = service(disk, tmp_path, Follower(None, failed))
    assert await jobs.wait_for_result(JOB, 30) is failed
    assert disk.notes == []
