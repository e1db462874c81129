"""A job runs under its lease: what a stalled ledger, another worker or a cancellation makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.errors import LedgerUnavailable
from ledger import JobState
from tests.unit.shell.inline import settle
from tests.unit.shell.worker_fakes import Workshop, a_job

JOB = a_job()


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
    assert shop.recorded == []


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
    assert shop.recorded == ["completed"]


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
