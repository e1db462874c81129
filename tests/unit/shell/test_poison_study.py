"""A study under which a reader died is read alone, and then is parked or is innocent; its neighbours pay nothing."""

from __future__ import annotations

from core.errors import ReaderLost, SourceUnavailable, StudyEvicted, WorkerLost
from ledger import JobState
from serve_apps.app import build
from tests.unit.shell.worker_fakes import Workshop, a_job

JOB = a_job(callback="https://ris/done")
DIED = ReaderLost("the replica was lost: ActorDiedError")


async def test_a_study_under_which_a_reader_died_is_read_again_at_once_and_alone() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [DIED]
    first = await shop.runner.run(JOB.id, JOB.place)
    assert (first.state, first.retry_after_s) == (JobState.QUEUED, 0.0)
    assert (await shop.runner.run(JOB.id, JOB.place)).result is not None
    assert [request.alone for request in shop.deployments.fetches] == [False, True]
    assert shop.ledger.rows[JOB.id].attempt == 1, "the death was no attempt"


async def test_a_study_that_ends_its_reader_alone_is_parked_and_its_caller_is_told() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [DIED, DIED]
    await shop.runner.run(JOB.id, JOB.place)
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert (outcome.state, outcome.error_code) == (JobState.FAILED, "poison-study")
    assert shop.notes.told == [("deliver", JOB.id), ("ended", JOB.id)]
    assert len(shop.deployments.fetches) == 2


async def test_a_study_whose_reader_was_replaced_is_no_suspect() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [WorkerLost("drained"), StudyEvicted("gone"), WorkerLost("drained")]
    for _ in range(4):
        outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.result is not None
    assert not any(request.alone for request in shop.deployments.fetches)


async def test_a_source_that_is_away_meanwhile_parks_no_suspect() -> None:
    shop = Workshop(JOB)
    shop.deployments.fetch_errors = [DIED, SourceUnavailable("away"), DIED]
    for _ in range(4):
        outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.result is not None
    assert [request.alone for request in shop.deployments.fetches] == [False, True, False, True]


def test_the_quarantine_takes_one_study_at_a_time_and_costs_nothing_until_it_is_needed() -> None:
    worker = build({})._bound_deployment.init_args[1]
    reader, quarantine = (bound._bound_deployment for bound in worker._bound_deployment.init_args[1:3])
    assert (reader.name, quarantine.name) == ("StudyReader", "QuarantineReader")
    assert quarantine.max_ongoing_requests == 1
    scaling = quarantine._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (0, 1)
