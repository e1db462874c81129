"""A job that fails is tried again, or ends, as the class and the age of its failure say; each one is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, WorkerCrashedError

from canary.explain import explain
from canary.routing_table import BASIS_POINTS
from core.errors import (
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    Overloaded,
    SerinusError,
    SourceTimeout,
    SourceUnavailable,
    StudyEvicted,
    UnsupportedSeries,
    WorkerLost,
)
from core.retry import RetryPolicy
from ledger import JobState
from models.spec import IntendedUse
from serve_apps.adapters.serve_calls import core_error
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.worker_fakes import Workshop, a_job

CHAMPION, CANARY = a_version("1"), a_version("2")
JOB = a_job()


@pytest.mark.parametrize(
    "error",
    [
        WorkerLost("out of memory"),
        StudyEvicted("gone"),
        ModelUnavailable("not warm"),
        Overloaded("the reader's queue is long"),
    ],
)
async def test_what_is_no_fault_of_the_study_is_tried_again_without_an_attempt(error: SerinusError) -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [error]
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.QUEUED
    assert outcome.retry_after_s is not None
    assert shop.ledger.rows[JOB.id].attempt == 0
    assert (await shop.runner.run(JOB.id, JOB.place)).state is JobState.COMPLETED


@pytest.mark.parametrize(
    "lost",
    [OutOfMemoryError("killed by the memory monitor"), NodeDiedError("gone"), WorkerCrashedError()],
    ids=["out of memory", "node", "worker"],
)
@pytest.mark.parametrize("where", ["reader", "model"])
async def test_a_study_whose_replica_was_lost_is_read_again_and_that_was_no_attempt(
    lost: RayError, where: str
) -> None:
    """The errors as a Serve handle raises them. The champion's replica is asked a second time within the run."""
    shop = Workshop(JOB)
    if where == "reader":
        shop.deployments.fetch_errors = [core_error(lost)]
    else:
        shop.deployments.predict_errors = {"1": [core_error(lost), core_error(lost)]}
    outcome = await shop.runner.run(JOB.id, JOB.place)
    while outcome.state is JobState.QUEUED:
        assert outcome.error_code == "worker-lost"
        assert shop.ledger.rows[JOB.id].attempt == 0
        outcome = await shop.runner.run(JOB.id, JOB.place)
    assert (outcome.state, shop.ledger.rows[JOB.id].attempt) == (JobState.COMPLETED, 1)


@pytest.mark.parametrize("error", [SourceUnavailable("the PACS reboots"), SourceTimeout("the PACS is slow")])
async def test_a_source_that_is_away_is_tried_for_a_day(error: SerinusError) -> None:
    for hours, state in ((23, JobState.QUEUED), (25, JobState.FAILED)):
        job = replace(JOB, attempt=200, failing_since=JOB.created_at)
        shop = Workshop(job)
        shop.pass_time(hours * 3600)
        shop.deployments.fetch_errors = [error]
        outcome = await shop.runner.run(job.id, job.place)
        assert (outcome.state, outcome.error_code) == (state, error.code)


async def test_a_worker_without_a_snapshot_waits() -> None:
    shop = Workshop(JOB)
    shop.snapshot = RoutingSnapshot()
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert (outcome.state, outcome.error_code) == (JobState.QUEUED, "warming")
    assert shop.ledger.rows[JOB.id].attempt == 0


async def test_an_unreadable_study_fails_at_once_and_whoever_waits_is_told() -> None:
    job = replace(JOB, callback="https://ris/done")
    shop = Workshop(job)
    shop.deployments.fetch_errors = [UnsupportedSeries("no series")]
    outcome = await shop.runner.run(job.id, job.place)
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "no-eligible-series")
    ((call, written),) = shop.ledger.written
    assert call == "fail"
    assert written["decisions"] == ()
    (delivery,) = written["deliveries_to_make"]
    assert delivery.destination == "https://ris/done"
    assert delivery.payload["state"] == "failed"
    assert delivery.payload["error"]["code"] == "no-eligible-series"
    assert shop.recorded == ["no-eligible-series"]
    assert ("ended", job.id) in shop.notes.told


async def test_a_champion_that_fails_is_tried_a_few_times_and_each_is_in_the_decision_ledger() -> None:
    shop = Workshop(JOB, policy=RetryPolicy(model_failed_attempts=2))
    shop.deployments.predict_errors = {"1": [ModelFailed("NaN"), ModelFailed("NaN")]}
    assert (await shop.runner.run(JOB.id, JOB.place)).state is JobState.QUEUED
    assert (await shop.runner.run(JOB.id, JOB.place)).state is JobState.FAILED
    for call, written in shop.ledger.written:
        (row,) = written["decisions"]
        assert (row.role, row.version, row.outcome, row.counts) == ("failed", "1", "model-error", True), call
        assert written["study_key"]


async def test_a_study_that_both_fail_has_both_in_its_decision_rows() -> None:
    shop = Workshop(JOB, snapshot=a_snapshot(CHAMPION, canary=CANARY, weight_bp=BASIS_POINTS))
    shop.deployments.predict_errors = {
        "1": [UnsupportedSeries("odd geometry")],
        "2": [DeadlineExceeded("late")],
    }
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.FAILED
    ((_, written),) = shop.ledger.written
    rows = {row.variant: row.outcome for row in written["decisions"]}
    assert rows == {"canary": "deadline-exceeded", "champion": "no-eligible-series"}
    assert all(explain(row).agrees for row in written["decisions"])
    assert "failed" in explain(written["decisions"][0]).sentences[0]


async def test_a_canary_outside_its_intended_use_is_recorded_and_not_counted_against_it() -> None:
    adults = replace(CANARY, spec=replace(CANARY.spec, intended_use=IntendedUse("x", ("MR",), ())))
    shop = Workshop(JOB, snapshot=a_snapshot(CHAMPION, canary=adults, weight_bp=BASIS_POINTS))
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.COMPLETED
    ((_, written),) = shop.ledger.written
    passed_over, answered = written["decisions"]
    assert (passed_over.role, passed_over.version, passed_over.counts) == ("failed", "2", False)
    assert "was not asked" in explain(passed_over).sentences[0]
    assert (answered.role, answered.version, answered.counts) == ("answered", "1", True)
    assert explain(answered).agrees


async def test_a_decision_names_the_snapshot_that_made_it() -> None:
    shop = Workshop(JOB, snapshot=replace(a_snapshot(CHAMPION), epoch=3))
    await shop.runner.run(JOB.id, JOB.place)
    ((_, written),) = shop.ledger.written
    (row,) = written["decisions"]
    assert (row.epoch, row.generation) == (3, 7)
    assert row.assigned_at is not None


@pytest.mark.parametrize(("attempt", "state"), [(1, JobState.QUEUED), (6, JobState.FAILED)])
async def test_an_unforeseen_error_is_tried_a_few_times_and_told_without_its_text(
    attempt: int, state: JobState
) -> None:
    job = replace(JOB, attempt=attempt - 1)
    shop = Workshop(job)
    shop.deployments.fetch_errors = [ValueError("DOE^JOHN")]  # type: ignore[list-item]
    outcome = await shop.runner.run(job.id, job.place)
    assert (outcome.state, outcome.error_detail) == (state, "unexpected ValueError")


async def test_a_job_retries_when_its_time_has_come() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [SourceUnavailable("away")]
    outcome = await shop.runner.run(JOB.id, JOB.place)
    ((_, written),) = shop.ledger.written
    assert written["at"] == shop.now + timedelta(seconds=outcome.retry_after_s or 0)
    assert written["kind"] is SourceUnavailable.failure
