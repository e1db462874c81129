"""A job runs once, under its lease, and ends as the class of its failure says; whatever happens around it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.explain import explain
from canary.routing_table import BASIS_POINTS
from core.errors import (
    DeadlineExceeded,
    LedgerUnavailable,
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
from core.priority import Priority
from core.retry import RetryPolicy
from core.study import StudyRef
from ledger import JobState
from models.spec import IntendedUse
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import settle
from tests.unit.shell.worker_fakes import Workshop, a_job

CHAMPION, CANARY = a_version("1"), a_version("2")
JOB = a_job()


async def test_a_job_is_claimed_analysed_completed_and_traced() -> None:
    shop = Workshop(JOB)
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.COMPLETED
    assert outcome.result is not None
    assert outcome.result["model"]["version"] == "1"
    assert shop.ledger.calls == ["claim", "take_turn", "complete"], "it is read by nobody again"
    assert shop.notes.traced == ["completed"]
    assert shop.notes.told == [("ended", JOB.id)]
    assert shop.keeper.tokens == frozenset()


@pytest.mark.parametrize("error", [None, ModelFailed("cannot read it")])
async def test_a_trace_that_waits_for_its_turn_pins_no_volume(error: SerinusError | None) -> None:
    shop = Workshop(JOB)
    if error is not None:
        shop.deployments.predict_errors["1"] = [error]
    await shop.runner.run(JOB.id, JOB.place)
    (study,) = shop.notes.traced_studies
    assert study is not None
    assert study.volume is None


async def test_a_report_that_must_be_stored_goes_to_the_outbox() -> None:
    job = replace(JOB, callback="https://ris/done")
    shop = Workshop(job)
    outcome = await shop.runner.run(job.id, job.place)
    assert outcome.state is JobState.STORING
    assert shop.notes.told == [("deliver", job.id)]


async def test_who_asks_for_a_job_that_runs_here_joins_it() -> None:
    shop = Workshop(JOB)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    first = shop.begin(JOB)
    await settle()
    second = shop.begin(JOB)
    await settle()
    gate.set()
    assert await first == await second
    assert shop.ledger.calls.count("claim") == 1


async def test_a_caller_that_goes_away_does_not_end_the_job() -> None:
    shop = Workshop(JOB)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    caller = shop.begin(JOB)
    await settle()
    caller.cancel()
    await settle()
    assert shop.runner.has(JOB.id)
    gate.set()
    await settle()
    assert shop.ledger.rows[JOB.id].state is JobState.COMPLETED


async def test_a_job_in_somebody_else_s_hands_is_told_as_it_stands() -> None:
    shop = Workshop(replace(JOB, state=JobState.RUNNING))
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.RUNNING
    assert shop.deployments.fetches == []


async def test_who_waits_for_a_job_that_has_ended_in_other_hands_is_told() -> None:
    job = replace(JOB, state=JobState.FAILED, error_code="worker-lost")
    shop = Workshop(job)
    outcome = await shop.runner.run(job.id, job.place)
    assert outcome.state is JobState.FAILED
    assert shop.notes.told == [("ended", job.id)]


async def test_stat_begins_before_what_waits() -> None:
    running, routine, stat = a_job("j1"), a_job("j2"), a_job("j3", Priority.STAT)
    shop = Workshop(running, routine, stat)
    gate = shop.deployments.hanging[running.study.study_uid] = asyncio.Event()
    tasks = [shop.begin(running)]
    await settle()
    tasks += [shop.begin(routine), shop.begin(stat)]
    await settle()
    assert shop.ledger.calls == ["claim"], "what waits has no lease yet"
    gate.set()
    await asyncio.gather(*tasks)
    fetched = [request.study for request in shop.deployments.fetches]
    assert fetched == [running.study, stat.study, routine.study]
    assert [request.order for request in shop.deployments.fetches][1] == stat.order
    assert [order for _, order in shop.deployments.predictions][1] == stat.order


# ---- failure by class and age


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
    assert shop.notes.traced == ["no-eligible-series"]
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


# ---- leases


async def test_a_ledger_that_stalls_at_the_end_costs_neither_the_analysis_nor_an_attempt() -> None:
    shop = Workshop(JOB)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    running = shop.begin(JOB)
    await settle()
    shop.ledger.away = 4
    shop.keeper.renew_once()  # is not answered: no lease is given up for that
    gate.set()
    assert (await running).state is JobState.COMPLETED
    assert [call for call, _ in shop.ledger.written] == ["complete"]
    assert len(shop.slept) == 3
    assert shop.ledger.rows[JOB.id].attempt == 1
    assert len(shop.deployments.fetches) == 1


async def test_a_job_that_went_to_another_worker_is_left_to_it() -> None:
    shop = Workshop(JOB)
    shop.deployments.hanging["1"] = asyncio.Event()
    running = shop.begin(JOB)
    await settle()
    shop.ledger.lapse(JOB.id)
    shop.keeper.renew_once()
    outcome = await running
    assert outcome.state is JobState.QUEUED
    assert shop.ledger.written == []
    assert shop.notes.traced == []


async def test_a_job_that_comes_back_to_its_own_worker_keeps_a_lease_of_its_own() -> None:
    shop = Workshop(JOB)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    running = shop.begin(JOB)
    await settle()
    shop.ledger.lapse(JOB.id)
    again = shop.begin(JOB)  # recovery finds it due: it runs here, so this joins it
    await settle()
    assert shop.ledger.calls.count("claim") == 1
    gate.set()
    first, second = await running, await again
    assert first == second
    assert first.state is JobState.QUEUED, "its token is no longer good, which the end of the work finds out"
    assert (await shop.runner.run(JOB.id, JOB.place)).state is JobState.COMPLETED
    assert (shop.ledger.rows[JOB.id].attempt, shop.ledger.rows[JOB.id].losses) == (1, 1)


async def test_a_renewal_that_comes_after_the_end_was_written_takes_nothing_from_it() -> None:
    """The token is no longer good because the job has ended: that is no lost lease."""
    shop = Workshop(JOB)
    write = shop.ledger.complete

    def complete_and_renew(token: str, **what: Any) -> None:
        write(token, **what)
        shop.keeper.renew_once()

    shop.ledger.complete = complete_and_renew  # type: ignore[method-assign]
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.COMPLETED
    assert shop.notes.told == [("ended", JOB.id)]
    assert shop.notes.traced == ["completed"]


async def test_a_job_that_was_cancelled_stops() -> None:
    shop = Workshop(JOB)
    shop.deployments.hanging["1"] = asyncio.Event()
    running = shop.begin(JOB)
    await settle()
    shop.ledger.lapse(JOB.id)
    shop.ledger.rows[JOB.id] = replace(shop.ledger.rows[JOB.id], state=JobState.CANCELED)
    shop.keeper.renew_once()
    assert (await running).state is JobState.CANCELED


async def test_a_ledger_that_is_away_at_the_beginning_is_told() -> None:
    shop = Workshop(JOB)
    shop.ledger.away = 1
    with pytest.raises(LedgerUnavailable):
        await shop.runner.run(JOB.id, JOB.place)
    assert shop.runner.free == 1


# ---- drain


async def test_a_worker_that_is_replaced_hands_back_what_waits_and_ends_what_runs() -> None:
    first, second = a_job("j1"), a_job("j2")
    shop = Workshop(first, second)
    gate = shop.deployments.hanging["1"] = asyncio.Event()
    running, waiting = shop.begin(first), shop.begin(second)
    await settle()
    draining = asyncio.create_task(shop.runner.drain(60))
    await settle()
    assert waiting.done()
    assert (await waiting).retry_after_s == 0.0
    assert (await shop.runner.run("j3", JOB.place)).retry_after_s == 0.0, "it takes no more"
    gate.set()
    await draining
    assert (await running).state is JobState.COMPLETED
    assert shop.ledger.rows[second.id] == second, "what never began was never claimed"
    assert shop.runner.free == 0


async def test_a_claimed_job_that_cannot_end_in_time_is_handed_back_without_an_attempt() -> None:
    shop = Workshop(JOB)
    shop.deployments.hanging["1"] = asyncio.Event()
    running = shop.begin(JOB)
    await settle()
    await shop.runner.drain(0)
    assert (await running).retry_after_s == 0.0
    assert shop.ledger.rows[JOB.id] == JOB
    assert shop.keeper.tokens == frozenset()


# ---- a canary that hangs, stages


async def test_a_hung_canary_study_holds_no_slot_that_a_live_study_needs() -> None:
    hung, live = a_job("j1", tester_variant="canary"), a_job("j2")
    shop = Workshop(hung, live, snapshot=a_snapshot(CHAMPION, canary=CANARY))
    gate = shop.deployments.hanging["2"] = asyncio.Event()
    hanging = shop.begin(hung)
    await settle()
    assert (await shop.begin(live)).state is JobState.COMPLETED
    assert not hanging.done()
    gate.set()
    assert (await hanging).state is JobState.COMPLETED


async def test_a_source_that_hangs_holds_no_slot_that_a_study_of_another_needs() -> None:
    """More of its studies than the worker has slots: each would hold one for as long as a fetch may take."""
    hung = [a_job(f"j{number}") for number in range(1, 10)]
    other = replace(a_job("j10"), study=StudyRef("other", "1.2.10"))
    shop = Workshop(*hung, other, slots=2)
    gates = {job.study.study_uid: asyncio.Event() for job in hung}
    shop.deployments.hanging = dict(gates)
    waiting = [shop.begin(job) for job in hung]
    await settle()
    assert (len(shop.deployments.fetches), shop.runner.free) == (2, 2)
    assert shop.runner.busy_sources == {"pacs"}
    assert (await asyncio.wait_for(shop.begin(other), 5)).state is JobState.COMPLETED
    for gate in gates.values():
        gate.set()
    assert {outcome.state for outcome in await asyncio.gather(*waiting)} == {JobState.COMPLETED}


async def test_a_stage_is_written_only_when_somebody_could_see_it() -> None:
    quick = Workshop(JOB)
    await quick.runner.run(JOB.id, JOB.place)
    assert quick.ledger.stages == []

    slow = Workshop(JOB, stage_shown_after_s=0.0)
    gate = slow.deployments.hanging["1"] = asyncio.Event()
    running = slow.begin(JOB)
    await settle()
    gate.set()
    await running
    assert "forward" in slow.ledger.stages


async def test_a_job_retries_when_its_time_has_come() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [SourceUnavailable("away")]
    outcome = await shop.runner.run(JOB.id, JOB.place)
    ((_, written),) = shop.ledger.written
    assert written["at"] == shop.now + timedelta(seconds=outcome.retry_after_s or 0)
    assert written["kind"] is SourceUnavailable.failure
