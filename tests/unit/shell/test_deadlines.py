"""A caller's deadline counts from the acceptance of his job, in whichever worker, and loses no study."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from canary.routing_table import BASIS_POINTS
from core.errors import IdempotencyConflict, WorkerLost
from core.study import StudyRef
from ledger import Job, JobRequest, JobState
from serve_apps.application.callers import Caller, Scope
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.site import BODY, Site
from tests.unit.shell.worker_fakes import NOW, Workshop, a_job

RIS = Caller("ris", frozenset({Scope.JOBS_WRITE}), "ris")
BOTH = a_snapshot(a_version("1"), canary=a_version("2"), weight_bp=BASIS_POINTS)


def a_hurried_job(seconds: float, *, is_asked: bool = True) -> Job:
    deadline = NOW + timedelta(seconds=seconds)
    return a_job(deadline=deadline, deadline_s=seconds if is_asked else None)


async def submitted(
    site: Site, deadline_s: float | None = None, waits_s: float | None = None, key: str | None = None
) -> Job:
    request = JobRequest(StudyRef("samples", "1.2.3"), "ich-triage", deadline_s=deadline_s)
    return (await site.services.jobs.submit(request, RIS, key, waits_s)).job


async def budgets(job: Job, after_s: float) -> list[tuple[str, float]]:
    """Who was asked for how long of a job that a worker takes up `after_s` seconds after its acceptance."""
    shop = Workshop(job, snapshot=BOTH)
    shop.pass_time(after_s)
    assert (await shop.runner.run(job.id, job.place)).state is JobState.COMPLETED
    return [(version, round(seconds)) for version, seconds in shop.deployments.budgets_s]


@pytest.mark.parametrize(
    ("deadline_s", "after_s", "asked"),
    [
        (40, 0, [("2", 20)]),
        (40, 30, [("2", 5)]),
        (40, 40, [("1", 60)]),
        (40, 4000, [("1", 60)]),
        (4000, 0, [("2", 30)]),
    ],
    ids=["half of it", "half of what is left of it", "just over", "long over", "far away"],
)
async def test_a_canary_has_half_of_what_is_left_and_after_it_the_champion_answers_at_once(
    deadline_s: float, after_s: float, asked: list[tuple[str, float]]
) -> None:
    assert await budgets(a_hurried_job(deadline_s), after_s) == asked


async def test_nobody_hurries_for_a_caller_who_has_stopped_waiting() -> None:
    assert await budgets(a_hurried_job(40, is_asked=False), 30) == [("2", 5)]
    assert await budgets(a_hurried_job(40, is_asked=False), 41) == [("2", 30)]


async def test_the_time_of_the_fetch_is_the_callers_too() -> None:
    job = a_hurried_job(40)
    shop = Workshop(job, snapshot=BOTH)
    shop.deployments.while_fetching = lambda: shop.pass_time(20)
    await shop.runner.run(job.id, job.place)
    assert shop.deployments.budgets_s == [("2", 10.0)]


async def test_a_worker_that_tries_again_has_what_is_left_of_it() -> None:
    job = a_hurried_job(40)
    first = Workshop(job, snapshot=BOTH)
    first.deployments.fetch_errors = [WorkerLost("killed")]
    assert (await first.runner.run(job.id, job.place)).state is JobState.QUEUED
    second = Workshop(first.ledger.rows[job.id], snapshot=BOTH)
    second.pass_time(20)
    await second.runner.run(job.id, job.place)
    assert second.deployments.budgets_s == [("2", 10.0)]


@pytest.mark.parametrize(
    ("deadline_s", "waits_s", "seconds"),
    [(120.0, None, 120), (None, 30.0, 30), (120.0, 30.0, 120), (None, None, None)],
    ids=["asked for", "a wait", "both", "neither"],
)
async def test_it_is_kept_with_the_job(
    site: Site, deadline_s: float | None, waits_s: float | None, seconds: float | None
) -> None:
    job = await submitted(site, deadline_s, waits_s)
    assert job.deadline == (None if seconds is None else job.created_at + timedelta(seconds=seconds))
    assert job.deadline_s == deadline_s


async def test_another_deadline_is_another_request_and_a_wait_is_not(site: Site) -> None:
    plain, waited = await submitted(site), await submitted(site, waits_s=30.0)
    hurried = await submitted(site, deadline_s=60.0)
    assert plain.id == waited.id != hurried.id
    kept = site.ledger.jobs.get(plain.id).deadline
    assert kept is not None, "that of the first of its callers who has one"
    assert (await submitted(site, waits_s=5.0)).deadline == kept
    await submitted(site, deadline_s=60.0, key="k")
    with pytest.raises(IdempotencyConflict):
        await submitted(site, deadline_s=30.0, key="k")


@pytest.mark.parametrize("deadline_s", [0, 0.9, 86_401, -1, "60", None])
async def test_a_deadline_has_its_bounds(http: httpx.AsyncClient, deadline_s: object) -> None:
    answer = await http.post("/v1/jobs", json=BODY | {"deadline_s": deadline_s})
    assert answer.status_code == (202 if deadline_s is None else 422)
