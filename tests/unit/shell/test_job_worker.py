"""The parts of a job worker beside the jobs: its leases are kept, and jobs that nobody has in hand are found."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from core.errors import LedgerUnavailable, WorkerLost
from core.priority import Priority, QueuePlace, queue_order
from ledger import DueJob, JobState
from serve_apps.application.lease_keeper import LeaseKeeper
from serve_apps.application.lost_workers import LostWorkers
from serve_apps.application.messages import JobOutcome
from serve_apps.application.recover_jobs import BUSY_LOOKS, JobRecovery
from tests.unit.shell.inline import Here, settle

ORDER = queue_order(Priority.ROUTINE, datetime(2026, 1, 1, tzinfo=UTC))


class Renewals:
    """A ledger's `renew`: notes the tokens, and has lost those that a test names."""

    def __init__(self) -> None:
        self.asked: list[frozenset[str]] = []
        self.lost: set[str] = set()
        self.is_away = False

    def __call__(self, tokens: Collection[str], lease_s: float) -> frozenset[str]:
        self.asked.append(frozenset(tokens))
        if self.is_away:
            raise LedgerUnavailable("away")
        return frozenset(self.lost) & frozenset(tokens)


def test_each_lease_is_renewed_by_its_token_until_it_is_dropped() -> None:
    renewals = Renewals()
    keeper = LeaseKeeper(renewals, 15)
    keeper.renew_once()
    assert renewals.asked == [], "nothing is asked of the ledger when nothing runs"
    keeper.keep("old", lambda: None)
    keeper.keep("new", lambda: None)
    keeper.renew_once()
    keeper.drop("old")
    keeper.renew_once()
    assert renewals.asked == [{"old", "new"}, {"new"}]


def test_a_lost_lease_is_told_once() -> None:
    renewals, told = Renewals(), []
    keeper = LeaseKeeper(renewals, 15)
    keeper.keep("mine", lambda: told.append("mine"))
    keeper.keep("other", lambda: told.append("other"))
    renewals.lost = {"mine"}
    keeper.renew_once()
    keeper.renew_once()
    assert told == ["mine"]
    assert keeper.tokens == {"other"}


def test_a_ledger_that_is_away_loses_no_lease() -> None:
    renewals, told = Renewals(), []
    keeper = LeaseKeeper(renewals, 15)
    keeper.keep("mine", lambda: told.append("mine"))
    renewals.is_away = True
    keeper.renew_once()
    assert told == []
    assert keeper.tokens == {"mine"}


class Worker:
    def __init__(self, free: int) -> None:
        self.free = free
        self.here: set[str] = set()
        self.busy_sources: frozenset[str] = frozenset()

    def has(self, job_id: str) -> bool:
        return job_id in self.here


class Recovering:
    """A JobRecovery over a list of due jobs, whose source is the first letter; calls hang until a test lets go."""

    def __init__(self, *due: str, free: int = 2) -> None:
        self.worker = Worker(free)
        self.due = list(due)
        self.rooms: list[int] = []
        self.called: list[str] = []
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.recovery = JobRecovery(self._due, self._run, self.worker, 4, Here())

    def _due(self, limit: int, *, busy_sources: Collection[str]) -> tuple[DueJob, ...]:
        self.rooms.append(limit)
        jobs = [DueJob(job_id, QueuePlace(ORDER, job_id[0])) for job_id in self.due]
        return tuple([job for job in jobs if job.place.source not in busy_sources][:limit])

    async def _run(self, job: DueJob) -> JobOutcome:
        self.called.append(job.id)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return JobOutcome(job.id, JobState.COMPLETED)


async def test_what_is_due_is_called_once_while_it_runs() -> None:
    case = Recovering("a", "b", "c")
    for _ in range(3):
        await case.recovery.look()
        await settle()
    assert case.called == ["a", "b"], "no more than there are free slots"
    case.go.set()
    await settle()
    case.due = ["b", "c"]
    await case.recovery.look()
    await settle()
    assert case.called == ["a", "b", "b", "c"], "a job that is due again is called again"


async def test_a_job_that_is_here_already_is_not_called() -> None:
    case = Recovering("a", "b")
    case.worker.here = {"a"}
    await case.recovery.look()
    await settle()
    assert case.called == ["b"]


async def test_a_source_whose_jobs_all_wait_does_not_hide_the_jobs_of_another() -> None:
    """Four of its jobs wait in some worker's queue, and their source hangs: the ledger is asked for others."""
    case = Recovering("p1", "p2", "p3", "p4", "p5", "q1", free=4)
    for _ in range(2):
        await case.recovery.look()
        await settle()
    assert case.called == ["p1", "p2", "p3", "p4", "q1"]
    case.go.set()
    await settle()
    case.due = ["p5"]
    await case.recovery.look()
    await settle()
    assert case.called[-1] == "p5"


async def test_a_source_whose_lane_is_full_in_this_worker_is_passed_over() -> None:
    case = Recovering("p1", "q1")
    case.worker.busy_sources = frozenset({"p"})
    await case.recovery.look()
    await settle()
    assert case.called == ["q1"]


class Cluster:
    """Who holds jobs, who lives, and whose leases were ended."""

    def __init__(self, holders: set[str], living: set[str]) -> None:
        self.held = frozenset(holders)
        self.living = frozenset(living)
        self.ended: list[str] = []

    def holders(self) -> frozenset[str]:
        return self.held

    def end_leases_of(self, worker: str) -> int:
        self.ended.append(worker)
        return 1

    async def look(self) -> list[str]:
        await LostWorkers("s1/me", self, lambda: self.living, Here()).look()
        return self.ended


@pytest.mark.parametrize(
    ("living", "ended"),
    [
        ({"s1/me", "s1/alive"}, ["s1/gone"]),
        ({"s1/me", "s1/alive", "s1/gone"}, []),
        (set(), []),  # the cluster does not list this worker either: it knows nothing
    ],
)
async def test_only_a_worker_that_the_cluster_knows_to_be_gone_loses_its_leases_early(
    living: set[str], ended: list[str]
) -> None:
    cluster = Cluster({"s1/me", "s1/alive", "s1/gone", "s2/of-another-cluster"}, living)
    assert await cluster.look() == ended


async def test_a_full_worker_looks_seldom_but_does_not_leave_a_retry_waiting_for_ever() -> None:
    case = Recovering("a", free=0)
    for _ in range(BUSY_LOOKS - 1):
        await case.recovery.look()
    assert case.rooms == []
    await case.recovery.look()
    await settle()
    assert case.called == ["a"]


@pytest.mark.parametrize("error", [WorkerLost("gone"), ValueError("broken")])
async def test_a_call_that_fails_is_found_again(error: Exception) -> None:
    case = Recovering("a")
    case.error = error
    case.go.set()
    for _ in range(2):
        await case.recovery.look()
        await settle()
    assert case.called == ["a", "a"]
