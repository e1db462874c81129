"""Who waits for a job is told of its end once; a watch does not last for ever."""

from __future__ import annotations

from serve_apps.application.watched_jobs import WatchedJobs


class Ingresses:
    def __init__(self) -> None:
        self.ended: list[str] = []

    async def job_ended(self, job_id: str) -> None:
        self.ended.append(job_id)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_watched_job_is_told_of_once_and_no_other() -> None:
    ingresses = Ingresses()
    jobs = WatchedJobs(ingresses)
    jobs.watch("a")
    for job_id in ("b", "a", "a"):
        await jobs.ended(job_id)
    assert ingresses.ended == ["a"]


async def test_a_watch_ends_by_itself_and_a_second_one_prolongs_it() -> None:
    ingresses, clock = Ingresses(), Clock()
    jobs = WatchedJobs(ingresses, keep_s=10.0, clock=clock)
    jobs.watch("a")
    jobs.watch("b")
    clock.now_s = 8.0
    jobs.watch("a")
    clock.now_s = 12.0
    await jobs.ended("b")
    assert (ingresses.ended, len(jobs)) == ([], 1)
    await jobs.ended("a")
    assert ingresses.ended == ["a"]
