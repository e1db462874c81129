"""Counting the open jobs costs a look at the ledger some times a second, and lets nothing in that is too much."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.errors import Overloaded
from serve_apps.application.open_jobs import COUNT_AGAIN_S, TRUSTED_S, OpenJobs
from tests.unit.shell.inline import Here, settle


@dataclass
class Jobs:
    """A ledger that counts how often it was asked, and a clock."""

    open_jobs: int = 0
    asked: int = 0
    now_s: float = 0.0
    most: int = 3
    gauge: OpenJobs = field(init=False)

    def __post_init__(self) -> None:
        self.gauge = OpenJobs(self.count, self.most, Here(), lambda: self.now_s)

    def count(self) -> int:
        self.asked += 1
        return self.open_jobs

    async def submit(self) -> None:
        await self.gauge.require_room()
        self.open_jobs += 1


async def test_jobs_that_come_together_are_counted_once() -> None:
    jobs = Jobs()
    for _ in range(3):
        await jobs.submit()
    assert (jobs.open_jobs, jobs.asked) == (3, 1)


async def test_no_more_are_taken_than_may_be_open_and_again_as_soon_as_one_has_ended() -> None:
    jobs = Jobs()
    for _ in range(3):
        await jobs.submit()
    with pytest.raises(Overloaded):
        await jobs.submit()
    jobs.open_jobs -= 1
    await jobs.submit()
    assert jobs.open_jobs == 3


async def test_what_others_accept_is_noticed_with_the_next_count() -> None:
    jobs = Jobs()
    await jobs.submit()
    jobs.open_jobs = 3
    jobs.now_s += COUNT_AGAIN_S
    with pytest.raises(Overloaded):
        await jobs.submit()


async def test_nobody_waits_for_the_count_while_the_ledger_is_far_from_full() -> None:
    jobs = Jobs(most=100)
    await jobs.submit()
    jobs.open_jobs, jobs.now_s = 99, COUNT_AGAIN_S
    await jobs.submit()
    assert jobs.asked == 1, "it is counted beside the call, not in it"
    await settle()
    assert jobs.asked == 2
    with pytest.raises(Overloaded):
        await jobs.submit()


async def test_an_old_count_is_not_trusted() -> None:
    jobs = Jobs(most=100)
    await jobs.submit()
    jobs.open_jobs, jobs.now_s = 100, TRUSTED_S
    with pytest.raises(Overloaded):
        await jobs.submit()
