"""Who still reads a study when its job ends: also what the champion failed, and nothing that is for no version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from canary.routing_table import BASIS_POINTS, Shadow
from core.errors import (
    DeadlineExceeded,
    InputOutOfDistribution,
    ModelFailed,
    ModelUnavailable,
    OutsideIntendedUse,
    PoisonStudy,
    SerinusError,
    UnsupportedSeries,
    WorkerLost,
)
from core.retry import RetryPolicy
from imaging.packed_mask import unpack
from ledger import JobState, ShadowTask
from serve_apps.application import pending_shadows
from serve_apps.application.pending_shadows import with_mask
from serve_apps.application.routing_snapshot import RoutingSnapshot
from tests.unit.shell.builders import a_snapshot, a_variant, a_version
from tests.unit.shell.worker_fakes import Workshop, a_job

CHAMPION, CANDIDATE = a_version("1"), a_version("2")
JOB = a_job()
AT_ONCE = RetryPolicy(model_failed_attempts=1, worker_losses=1, model_horizon_s=0.0)
MASK = np.arange(24).reshape(2, 3, 4) % 5 == 0


def with_a_shadow(canary_bp: int | None = None) -> RoutingSnapshot:
    """Version 2 as a shadow of every study; with a weight version 3 is the canary."""
    canary = None if canary_bp is None else a_version("3")
    snapshot = a_snapshot(CHAMPION, canary=canary, weight_bp=canary_bp or 0)
    model = CHAMPION.model
    shadow = Shadow(a_variant(CANDIDATE, "challenger"), BASIS_POINTS)
    table = replace(snapshot.tables[model], shadows=(shadow,))
    served = {**snapshot.endpoints, CANDIDATE.app_name: CANDIDATE}
    return replace(snapshot, tables={**snapshot.tables, model: table}, endpoints=served)


async def shadows_after(shop: Workshop, *errors: SerinusError) -> tuple[ShadowTask, ...]:
    """The tasks that are written with the job's end, after the champion failed by the errors."""
    shop.deployments.predict_errors = {"1": list(errors)}
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert (outcome.state is JobState.FAILED) == bool(errors)
    ((_, written),) = shop.ledger.written
    return tuple(written["shadows"])


@pytest.mark.parametrize("error", [ModelFailed("NaN"), DeadlineExceeded("late")])
async def test_what_the_champion_failed_in_the_end_a_shadow_still_reads(error: SerinusError) -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    (task,) = await shadows_after(shop, error)
    assert (task.version, task.role, task.model) == ("2", "shadow", CHAMPION.model)
    assert (task.delivered["version"], task.delivered["error"]) == ("1", error.code)
    assert (task.delivered["findings"], task.mask) == ([], None)
    assert task.study == JOB.study
    assert ("shadow", JOB.id) in shop.notes.told, "while its volume still lies there"


@pytest.mark.parametrize(
    "error",
    [UnsupportedSeries("odd"), OutsideIntendedUse("a child"), InputOutOfDistribution("unlike all it knows")],
)
async def test_a_study_that_is_refused_for_its_own_sake_is_given_to_nobody(error: SerinusError) -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    assert await shadows_after(shop, error) == ()
    assert ("shadow", JOB.id) not in shop.notes.told


@pytest.mark.parametrize("error", [PoisonStudy("it kills"), WorkerLost("gone")])
async def test_a_study_at_which_processes_ended_ends_no_other(error: SerinusError) -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    assert await shadows_after(shop, error, error) == ()


async def test_a_champion_that_is_away_has_not_failed() -> None:
    shop = Workshop(
        replace(JOB, failing_since=JOB.created_at, attempt=9), snapshot=with_a_shadow(), policy=AT_ONCE
    )
    shop.pass_time(7 * 86_400)
    away = ModelUnavailable("not warm")
    assert await shadows_after(shop, away, away) == ()


async def test_a_study_that_was_not_fetched_is_given_to_nobody() -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    shop.deployments.fetch_errors = [UnsupportedSeries("no series")]
    await shop.runner.run(JOB.id, JOB.place)
    ((_, written),) = shop.ledger.written
    assert written["shadows"] == ()


async def test_nothing_is_handed_on_while_the_job_is_tried_again() -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=replace(AT_ONCE, model_failed_attempts=2))
    shop.deployments.predict_errors = {"1": [ModelFailed("NaN")]}
    assert (await shop.runner.run(JOB.id, JOB.place)).state is JobState.QUEUED
    ((call, written),) = shop.ledger.written
    assert (call, "shadows" in written) == ("retry", False)


async def test_after_a_canary_and_the_champion_the_failure_is_the_champions() -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(BASIS_POINTS), policy=AT_ONCE)
    shop.deployments.predict_errors["3"] = [ModelFailed("inf")]
    shop.deployments.predict_errors["1"] = [ModelFailed("NaN")]
    await shop.runner.run(JOB.id, JOB.place)
    ((_, written),) = shop.ledger.written
    assert [(task.role, task.version, task.delivered["version"]) for task in written["shadows"]] == [
        ("shadow", "2", "1")
    ]


async def test_a_delivered_segmentation_goes_with_the_task_and_says_that_there_is_one() -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    shop.deployments.mask = MASK
    (task,) = await shadows_after(shop)
    assert task.delivered["has_mask"] is True
    assert task.mask is not None
    np.testing.assert_array_equal(unpack(task.mask), MASK)
    assert "mask" not in repr(task), "no log that shows a task shows it"


async def test_what_the_version_worked_goes_with_the_task() -> None:
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    shop.deployments.work_ms = 41.25
    (task,) = await shadows_after(shop)
    assert (task.delivered["work_ms"], task.delivered["has_mask"], task.mask) == (41.25, False, None)


async def test_a_mask_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_shadows, "MOST_MASK_BYTES", 8)
    shop = Workshop(JOB, snapshot=with_a_shadow(), policy=AT_ONCE)
    (task,) = await shadows_after(shop)
    assert with_mask((task,), MASK)[0].mask is None
