"""What follows a job is begun elsewhere and waited for by nobody; what cannot be told is no failure of the job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from core.errors import LedgerUnavailable
from ledger import JobState
from serve_apps.adapters.after_job import ServeAfterJob
from serve_apps.application.loans import Borrowed, Loan
from serve_apps.application.messages import JobOutcome
from serve_apps.application.watched_jobs import WatchedJobs
from tests.unit.shell.inline import settle
from tests.unit.shell.shadows import a_study

LOAN = Loan("loan-1", "StudyReader", b"packed")


@dataclass
class Method:
    """One method of a handle: remembers its calls, and answers or raises."""

    answer: Any = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    hangs: bool = False

    def remote(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self._reply()

    async def _reply(self) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Handle:
    """A handle of a deployment, and how what it sends travels."""

    deliver: Method = field(default_factory=Method)
    notify: Method = field(default_factory=Method)
    by_reference: bool | None = None

    def options(self, *, _by_reference: bool) -> Handle:
        self.by_reference = _by_reference
        return self


@dataclass
class Ingresses:
    ended: list[str] = field(default_factory=list)

    async def job_ended(self, job_id: str) -> None:
        self.ended.append(job_id)


def nothing_dropped(loan: Loan) -> None:
    raise AssertionError("no study was passed on")


@pytest.mark.parametrize(("state", "ended"), [(JobState.COMPLETED, ["job"]), (JobState.STORING, [])])
async def test_who_waits_is_told_when_the_deliveries_were_all(state: JobState, ended: list[str]) -> None:
    outbox, ingresses = Handle(deliver=Method(state)), Ingresses()
    watched = WatchedJobs(ingresses)
    watched.watch("job")
    after = ServeAfterJob(watched, outbox, Handle(), nothing_dropped)
    after.to_deliver("job")
    await settle()
    assert (outbox.deliver.calls, ingresses.ended) == ([("job",)], ended)


STORING = JobOutcome("job", JobState.STORING, {"note": "seen"})


@pytest.mark.parametrize("answer", [JobState.COMPLETED, JobState.STORING, LedgerUnavailable("away")])
async def test_a_caller_who_waits_is_answered_when_the_reports_are_stored(answer: object) -> None:
    after = ServeAfterJob(WatchedJobs(Ingresses()), Handle(deliver=Method(answer)), Handle(), nothing_dropped)
    after.to_deliver("job")
    outcome = await after.delivered(STORING, 5.0)
    stored = answer is JobState.COMPLETED
    assert outcome == replace(STORING, state=JobState.COMPLETED if stored else JobState.STORING)


async def test_a_store_that_hangs_holds_a_caller_no_longer_than_he_waits() -> None:
    after = ServeAfterJob(
        WatchedJobs(Ingresses()), Handle(deliver=Method(hangs=True)), Handle(), nothing_dropped
    )
    after.to_deliver("job")
    assert await after.delivered(STORING, 0.01) == STORING
    assert await after.delivered(STORING, None) == STORING


@pytest.mark.parametrize(("answer", "given_back"), [(None, []), (RuntimeError("gone"), [LOAN])])
async def test_a_study_is_passed_on_with_its_loan_which_comes_back_when_it_does_not_arrive(
    answer: object, given_back: list[Loan]
) -> None:
    shadows, dropped = Handle(notify=Method(answer)), list[Loan]()
    after = ServeAfterJob(WatchedJobs(Ingresses()), Handle(), shadows, dropped.append)
    after.to_shadow("job", replace(a_study(), volume=Borrowed(LOAN, dropped.append)))
    await settle()
    assert (shadows.notify.calls, shadows.by_reference) == ([("job", replace(a_study(), volume=LOAN))], True)
    assert dropped == given_back


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), RuntimeError("boom")])
async def test_what_cannot_be_told_is_found_in_the_ledger_later(error: Exception) -> None:
    after = ServeAfterJob(WatchedJobs(Ingresses()), Handle(deliver=Method(error)), Handle(), nothing_dropped)
    after.to_deliver("job")
    await settle()
    after.ended("job")
    await settle()
