"""A job runs once, STAT first, and holds no slot that another could use; a worker that is replaced hands back."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from core.errors import ModelFailed, SerinusError
from core.priority import Priority
from core.study import StudyRef
from ledger import JobState
from serve_apps.application.study_traces import StudyTraces
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.inline import settle
from tests.unit.shell.worker_fakes import Workshop, a_job

CHAMPION, CANARY = a_version("1"), a_version("2")
JOB = a_job()


async def test_a_job_is_claimed_analysed_completed_and_recorded() -> None:
    shop = Workshop(JOB)
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.COMPLETED
    assert outcome.result is not None
    assert outcome.result["model"]["version"] == "1"
    assert shop.ledger.calls == ["claim", "take_turn", "complete"], "it is read by nobody again"
    assert shop.recorded == ["completed"]
    assert shop.notes.told == [("ended", JOB.id)]
    assert shop.keeper.tokens == frozenset()


@pytest.mark.parametrize("error", [None, ModelFailed("cannot read it")])
async def test_the_record_of_a_study_is_written_with_its_end(error: SerinusError | None) -> None:
    shop = Workshop(JOB)
    if error is not None:
        shop.deployments.predict_errors["1"] = [error]
    await shop.runner.run(JOB.id, JOB.place)
    (record,) = shop.ledger.records
    assert record is not None
    assert (record.job_id, record.error_code) == (JOB.id, error and error.code)
    (reading,) = record.records
    assert (reading.version, reading.role) == ("1", "failed" if error else "answered")


async def test_a_record_that_cannot_be_made_fails_no_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> object:
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(StudyTraces, "completed", breaks)
    shop = Workshop(JOB)
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.state is JobState.COMPLETED
    assert shop.ledger.records == [None]


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
