"""A study under which a process of a version died is read alone, and then is refused or is innocent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest

from canary.routing_table import BASIS_POINTS
from core.errors import PoisonStudy
from imaging.volume import Volume
from serve_apps.application.model_replica import LoadedModel, ModelReplica, ReplicaThreads
from serve_apps.application.priority_batcher import BatchLimit
from serve_apps.application.replica_health import HealthLimits, ReplicaHealth
from tests.unit.models.builders import STAMP, model_spec
from tests.unit.shell.builders import a_snapshot, a_version
from tests.unit.shell.test_model_replica import Clock, Device, a_study, order
from tests.unit.shell.worker_fakes import Workshop, a_job

JOB = a_job()


class Recorder:
    """What a replica knows of processes that died before it; it notes who was in work together."""

    def __init__(self, **deaths: int) -> None:
        self.counts = {f"input-{value}": count for value, count in deaths.items()}
        self.in_work: set[str] = set()
        self.together: list[frozenset[str]] = []
        self.landed = False

    def deaths(self, key: str) -> int:
        return self.counts.get(key, 0)

    @contextmanager
    def flight(self, key: str) -> Iterator[None]:
        self.in_work.add(key)
        self.together.append(frozenset(self.in_work))
        yield
        self.in_work.discard(key)

    def answered(self, key: str) -> None:
        del self.counts[key]

    def land(self) -> None:
        self.landed = True


@asynccontextmanager
async def a_replica(recorder: Recorder) -> AsyncIterator[ModelReplica]:
    device = Device()
    model = LoadedModel(model_spec(), STAMP, "cpu", BatchLimit(8, 100), device.forward, device.golden_fault)
    health = ReplicaHealth(HealthLimits(60, 300, 60), Clock())
    replica = ModelReplica(model, health, ReplicaThreads(lambda: None), recorder)
    yield replica
    replica.close()


def named(value: int) -> Volume:
    return replace(a_study(value), input_digest=f"input-{value}")


async def test_a_study_under_which_a_model_s_process_died_is_read_alone_and_is_innocent_then() -> None:
    recorder = Recorder(**{"1": 1})
    async with a_replica(recorder) as replica:
        await asyncio.gather(*(replica.predict(named(value), order()) for value in (0, 1, 2, 3)))
    assert frozenset({"input-1"}) in recorder.together
    assert all(len(group) == 1 for group in recorder.together if "input-1" in group)
    assert recorder.counts == {}
    assert recorder.landed


async def test_a_study_from_which_a_model_s_process_died_alone_is_read_no_more() -> None:
    recorder = Recorder(**{"1": 2})
    async with a_replica(recorder) as replica:
        with pytest.raises(PoisonStudy):
            await replica.predict(named(1), order())
        assert await replica.predict(named(2), order())
    assert recorder.together == [frozenset({"input-2"})]


async def test_a_replica_that_is_given_up_blames_no_study() -> None:
    recorder = Recorder()
    async with a_replica(recorder) as replica:
        replica._health.golden_failed("the golden input differs")
        with pytest.raises(RuntimeError):
            await replica.check_health()
        assert recorder.landed


async def test_a_canary_that_dies_from_a_study_leaves_it_to_the_champion() -> None:
    champion, canary = a_version("1"), a_version("2")
    shop = Workshop(JOB, snapshot=a_snapshot(champion, canary=canary, weight_bp=BASIS_POINTS))
    shop.deployments.predict_errors["2"] = [PoisonStudy("two processes died")]
    outcome = await shop.runner.run(JOB.id, JOB.place)
    assert outcome.result is not None
    assert outcome.result["model"]["version"] == "1"
