"""An Ingress has a worker run each job, and those who wait hear of its end wherever it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from core.errors import JobNotFound, LedgerUnavailable, Overloaded, SerinusError, WorkerLost
from core.priority import QueuePlace
from ledger import Job, JobState
from serve_apps.application.callers import Caller
from serve_apps.application.follow_job import PAUSES_S, JobFollower
from serve_apps.application.jobs import JobResult, JobService
from serve_apps.application.messages import JobOutcome
from serve_apps.application.run_job import handed_back
from serve_apps.settings import Settings
from tests.unit.shell.builders import a_snapshot
from tests.unit.shell.inline import Here, settle
from tests.unit.shell.worker_fakes import a_job

LONG_S = 60.0
JOB = a_job()
CALLER = Caller("ris", frozenset(), JOB.tenant)
DONE = JobOutcome(JOB.id, JobState.COMPLETED, {})
Answer = JobOutcome | Exception


class Site:
    """A JobFollower with its workers, its ledger and who ends jobs elsewhere."""

    def __init__(self, *answers: Answer, read_again_s: float = LONG_S) -> None:
        self.answers: Sequence[Answer] = answers
        self.asked: list[tuple[str, QueuePlace]] = []
        self.waiters: list[float | None] = []
        self.go = asyncio.Event()
        self.job = JOB
        self.reads = 0
        self.watched: list[str] = []
        self.at_watch: JobState | None = None
        self.told: list[str] = []
        self.follower = JobFollower(
            self, self, self, self.get, Here(), sleep=lambda _: asyncio.sleep(0), read_again_s=read_again_s
        )

    async def run(self, job_id: str, place: QueuePlace, waiter_s: float | None) -> JobOutcome:
        self.asked.append((job_id, place))
        self.waiters.append(waiter_s)
        await self.go.wait()
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        self.stand(answer.state)
        return answer

    async def watch(self, job_id: str) -> None:
        self.watched.append(job_id)
        if self.at_watch is not None:
            self.stand(self.at_watch)

    async def job_ended(self, job_id: str) -> None:
        self.told.append(job_id)

    def get(self, job_id: str) -> Job:
        self.reads += 1
        if job_id != self.job.id:
            raise JobNotFound("no such job")
        return self.job

    def stand(self, state: JobState) -> None:
        self.job = replace(self.job, state=state)


async def test_a_submitted_job_is_run_by_a_worker_and_nobody_waits_for_it() -> None:
    site = Site(DONE)
    site.follower.begin(JOB)
    await settle()
    assert site.asked == [(JOB.id, JOB.place)]
    site.go.set()
    await settle()
    assert site.reads == 0


async def test_who_waits_where_the_job_was_submitted_hears_the_worker_itself() -> None:
    site = Site(DONE)
    site.follower.begin(JOB)
    waiting = asyncio.create_task(site.follower.follow(JOB.id, LONG_S))
    await settle()
    site.go.set()
    assert (await waiting).state is JobState.COMPLETED
    assert (site.reads, site.watched) == (1, []), "it is read once, and nobody has to be told to tell"


async def test_the_worker_s_outcome_is_at_hand_without_the_ledger() -> None:
    site = Site(DONE)
    site.follower.begin(JOB)
    site.go.set()
    assert await site.follower.outcome(JOB.id, LONG_S) == DONE
    assert site.reads == 0
    assert await site.follower.outcome("elsewhere", LONG_S) is None


async def test_who_waits_in_another_replica_watches_and_is_pushed_to() -> None:
    site = Site()
    waiting = asyncio.create_task(site.follower.follow(JOB.id, LONG_S))
    await settle()
    assert site.watched == [JOB.id]
    assert site.reads == 2, "once before, and once more after the watch is set"
    site.stand(JobState.COMPLETED)
    site.follower.ended(JOB.id)
    assert (await asyncio.wait_for(waiting, 5)).state is JobState.COMPLETED


async def test_a_job_that_ends_while_the_watch_is_being_set_is_not_missed() -> None:
    site = Site()
    site.at_watch = JobState.FAILED
    assert (await asyncio.wait_for(site.follower.follow(JOB.id, LONG_S), 5)).state is JobState.FAILED


async def test_who_waits_hears_at_once_of_a_cancellation_also_before_a_worker_came_to_the_job(
    tmp_path: Path,
) -> None:
    """It waits in some worker's queue, perhaps for minutes: its source hangs."""
    site = Site(DONE)
    service = job_service(site, tmp_path)
    site.follower.begin(JOB)
    waiting = [
        asyncio.create_task(service.wait(JOB.id, LONG_S, CALLER)),
        asyncio.create_task(service.wait_for_result(JOB, LONG_S)),
    ]
    await settle()
    site.stand(JobState.CANCELED)
    await site.follower.tell_ended(JOB.id)
    for job in await asyncio.wait_for(asyncio.gather(*waiting), 5):
        assert isinstance(job, Job)
        assert job.state is JobState.CANCELED
    assert site.told == [JOB.id], "those who wait in other replicas are told, too"


async def test_a_report_that_is_still_being_stored_is_waited_for() -> None:
    site = Site(JobOutcome(JOB.id, JobState.STORING, {}))
    site.follower.begin(JOB)
    waiting = asyncio.create_task(site.follower.follow(JOB.id, LONG_S))
    site.go.set()
    await settle()
    assert site.watched == [JOB.id]
    site.stand(JobState.COMPLETED)
    site.follower.ended(JOB.id)
    assert (await asyncio.wait_for(waiting, 5)).state is JobState.COMPLETED


async def test_a_worker_that_the_watch_did_not_reach_is_told_at_the_next_look() -> None:
    """It may have been started a moment ago, so that this Ingress knows nothing of it yet."""
    site = Site(read_again_s=0.001)
    waiting = asyncio.create_task(site.follower.follow(JOB.id, LONG_S))
    async with asyncio.timeout(5):
        while len(site.watched) < 2:
            await asyncio.sleep(0)
    site.stand(JobState.COMPLETED)
    await asyncio.wait_for(waiting, 5)


async def test_a_push_that_is_lost_is_made_up_for() -> None:
    site = Site(read_again_s=0.001)
    waiting = asyncio.create_task(site.follower.follow(JOB.id, LONG_S))
    await settle()
    site.stand(JobState.COMPLETED)
    assert (await asyncio.wait_for(waiting, 5)).state is JobState.COMPLETED


async def test_the_job_is_given_as_it_stands_when_the_time_is_over() -> None:
    site = Site(DONE)
    site.follower.begin(JOB)
    assert (await site.follower.follow(JOB.id, 0.001)).state is JobState.QUEUED


async def test_who_waits_for_no_job_is_told() -> None:
    with pytest.raises(JobNotFound):
        await Site().follower.follow("nobody", LONG_S)


@pytest.mark.parametrize(
    "first",
    [WorkerLost("killed"), Overloaded("too many"), LedgerUnavailable("away"), handed_back(JOB.id)],
    ids=["lost", "overloaded", "ledger away", "drains"],
)
async def test_another_worker_is_asked_after_one_that_did_not_take_the_job(first: Answer) -> None:
    site = Site(first, DONE)
    site.go.set()
    site.follower.begin(JOB)
    await settle()
    assert len(site.asked) == 2
    assert site.job.state is JobState.COMPLETED


@pytest.mark.parametrize(
    ("error", "times"),
    [(JobNotFound("no such job"), 1), (ValueError("broken"), 1), (WorkerLost("gone"), len(PAUSES_S))],
)
async def test_a_job_that_no_worker_takes_is_left_to_recovery(error: Exception, times: int) -> None:
    site = Site(*[error] * 9)
    site.go.set()
    site.follower.begin(JOB)
    await settle()
    assert len(site.asked) == times
    assert isinstance(error, SerinusError | ValueError)


async def test_a_job_is_begun_once() -> None:
    site = Site(DONE)
    site.follower.begin(JOB)
    site.follower.begin(JOB)
    site.follower.begin(replace(JOB, id="j2", state=JobState.COMPLETED))
    await settle()
    assert len(site.asked) == 1


async def test_a_study_that_has_become_stable_is_run_at_once_and_no_earlier() -> None:
    site = Site(DONE)
    site.go.set()
    waiting = replace(JOB, state=JobState.WAITING)
    site.follower.begin_in(waiting, 0.0)
    site.follower.begin_in(waiting, LONG_S)  # another object of the study has come
    await asyncio.sleep(0.01)
    assert site.asked == []
    site.follower.begin_in(waiting, 0.0)
    await asyncio.sleep(0.01)
    assert site.asked == [(JOB.id, JOB.place)]


class Complete:
    """A ledger in which one job waits for more objects of its study."""

    def __init__(self) -> None:
        self.jobs = self

    def complete_study(self, study_uid: str, tenant: str) -> tuple[Job, ...]:
        return (replace(JOB, state=JobState.WAITING),)


async def test_a_study_that_is_declared_complete_is_run_without_waiting_for_recovery(tmp_path: Path) -> None:
    site, ledger = Site(DONE), cast(Any, Complete())
    service = JobService(Settings(state_dir=tmp_path), ledger, a_snapshot, site.follower, Here())
    assert await service.complete_study("1.2.3", CALLER) == 1
    await settle()
    assert site.asked == [(JOB.id, JOB.place)]


def job_service(site: Site, folder: Path, **settings: Any) -> JobService:
    ledger: Any = Secured(site)
    return JobService(Settings(state_dir=folder, **settings), ledger, a_snapshot, site.follower, Here())


class Secured:
    """A ledger that has every job of the site on its disk."""

    def __init__(self, site: Site) -> None:
        self.jobs = self
        self.get = site.get

    def secure(self, job_id: str) -> None: ...


async def test_a_waiting_caller_gets_the_worker_s_result_without_a_look_at_the_ledger(tmp_path: Path) -> None:
    result = {"findings": []}
    site = Site(JobOutcome(JOB.id, JobState.COMPLETED, result))
    jobs = job_service(site, tmp_path)
    site.go.set()
    site.follower.begin(JOB, waiter_s=30)
    assert await jobs.wait_for_result(JOB, 30) == JobResult(result, JOB.context)
    assert (site.reads, jobs.waiting) == (0, 0)
    assert site.waiters == [30]


async def test_a_job_that_is_to_be_tried_again_is_given_as_it_stands(tmp_path: Path) -> None:
    site = Site(JobOutcome(JOB.id, JobState.QUEUED, retry_after_s=60.0))
    jobs = job_service(site, tmp_path)
    site.go.set()
    site.follower.begin(JOB)
    job = await jobs.wait_for_result(JOB, 0.001)
    assert isinstance(job, Job)
    assert job.state is JobState.QUEUED


async def test_when_too_many_wait_the_next_is_accepted_and_does_not_wait(tmp_path: Path) -> None:
    site = Site(DONE)
    jobs = job_service(site, tmp_path, max_waiting_callers=1)
    site.follower.begin(JOB)
    first = asyncio.create_task(jobs.wait_for_result(JOB, LONG_S))
    await settle()
    assert await jobs.wait_for_result(JOB, LONG_S) is JOB
    site.go.set()
    assert isinstance(await first, JobResult)
