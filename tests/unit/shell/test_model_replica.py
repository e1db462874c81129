"""A replica that no longer computes is found out by its golden input; until then no study fails for its sake."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from canary.input_check import InputPolicy, InputRule
from core.errors import (
    InputOutOfDistribution,
    ModelFailed,
    ModelUnavailable,
    SerinusError,
    UnsupportedSeries,
)
from core.priority import Priority, QueueOrder, queue_order
from imaging.finding import InputCheck, InputVerdict, Presence
from imaging.volume import Volume
from models.forward import Outputs
from models.prepare import Prepared
from observability.names import Stage
from serve_apps.application.input_rule import UNGUARDED, InputGuard
from serve_apps.application.messages import Inference
from serve_apps.application.model_replica import LoadedModel, ModelReplica, ReplicaThreads
from serve_apps.application.priority_batcher import BatchLimit
from serve_apps.application.replica_health import HealthLimits, ReplicaHealth
from tests.unit.models.builders import STAMP, model_spec, volume

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 20
EIGHT = BatchLimit(8, 100)


def order(priority: Priority = Priority.ROUTINE, age_s: float = 0) -> QueueOrder:
    return queue_order(priority, NOW - timedelta(seconds=age_s))


def a_study(value: int = 0, rows: int = 4) -> Volume:
    return volume(np.full((2, rows, 4), value, np.int16))


class Device:
    """Computes the mean of each slice; can be poisoned, and held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.poisoned = False
        self.bad_values: set[int] = set()
        self.poisons: set[int] = set()
        self.held: dict[int, threading.Event] = {}
        self.began = threading.Event()
        self.golden_runs = 0
        self.golden_held: threading.Event | None = None

    def forward(self, studies: Sequence[Prepared]) -> list[Outputs | ModelFailed]:
        values = [int(study.tensor.flatten()[0]) for study in studies]
        self.batches.append(values)
        self.threads.add(threading.current_thread().name)
        self.began.set()
        for value in values:
            if value in self.held:
                assert self.held[value].wait(PATIENCE_S)
        return [self._result(study, value) for study, value in zip(studies, values, strict=True)]

    def _result(self, study: Prepared, value: int) -> Outputs | ModelFailed:
        self.poisoned = self.poisoned or value in self.poisons
        if self.poisoned or value in self.bad_values:
            return ModelFailed("the network failed with AcceleratorError")
        return np.full((len(study.slices), 1), 0.9, np.float32)

    def golden_fault(self) -> str | None:
        self.golden_runs += 1
        self.threads.add(threading.current_thread().name)
        if self.golden_held is not None:
            assert self.golden_held.wait(PATIENCE_S)
        return "the golden input is not answered" if self.poisoned else None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A replica on a device that a test can break, and the clock of its health."""

    def __init__(
        self,
        golden_s: float = 10.0,
        sharing: BatchLimit = EIGHT,
        guard: InputGuard = UNGUARDED,
    ) -> None:
        self.device, self.clock = Device(), Clock()
        self.health = ReplicaHealth(HealthLimits(60, 300, golden_s), self.clock)
        self.idle_threads: list[str] = []
        self.threads = ReplicaThreads(lambda: self.idle_threads.append(threading.current_thread().name))
        self.replica = ModelReplica(
            LoadedModel(
                model_spec(),
                STAMP,
                "cpu",
                sharing,
                self.device.forward,
                self.device.golden_fault,
                guard,
            ),
            self.health,
            self.threads,
        )

    def start(self, value: int, at: QueueOrder | None = None) -> asyncio.Task[Inference]:
        return asyncio.create_task(self.replica.predict(a_study(value), at or order()))

    def release(self) -> None:
        held = [*self.device.held.values(), self.device.golden_held]
        for event in held:
            if event is not None:
                event.set()
        self.replica.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    made.release()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def failure(task: asyncio.Task[Inference]) -> type[BaseException]:
    with pytest.raises(SerinusError) as caught:
        await task
    return caught.type


# ---- who is at fault


async def test_a_study_is_predicted_and_its_stages_are_measured(bench: Bench) -> None:
    inference = await bench.start(1)
    assert inference.prediction.findings[0].probability == pytest.approx(0.9)
    assert [timing.stage for timing in inference.stages] == [
        Stage.PREPARE,
        Stage.WAIT,
        Stage.FORWARD,
        Stage.INTERPRET,
    ]
    await bench.replica.check_health()


async def test_a_study_that_fails_alone_is_at_fault_and_the_replica_goes_on(bench: Bench) -> None:
    bench.device.bad_values = {666}
    for _ in range(3):
        assert await failure(bench.start(666)) is ModelFailed
        await until(lambda: bench.health.suspicion is None)
    assert await bench.start(1)
    await bench.replica.check_health()
    assert bench.health.studies_at_fault == 3
    assert bench.device.golden_runs == 3


async def test_a_poisoned_device_fails_one_study_and_lets_the_others_wait(bench: Bench) -> None:
    bench.device.poisons = {13}
    assert await failure(bench.start(13)) is ModelFailed
    others = [await failure(bench.start(value)) for value in (1, 2, 3)]
    assert others == [ModelUnavailable] * 3
    with pytest.raises(RuntimeError, match="golden input"):
        await bench.replica.check_health()


async def test_a_device_poisoned_in_the_middle_of_a_batch_costs_one_study_its_attempt(bench: Bench) -> None:
    bench.device.held = {0: threading.Event()}
    first = bench.start(0)
    await until(bench.device.began.is_set)
    bench.device.poisons = {13}
    batch = [bench.start(13, order(age_s=60)), *(bench.start(value) for value in (1, 2, 3))]
    await until(lambda: bench.replica.waiting == 4)
    bench.device.held[0].set()
    assert await first
    failures = [await failure(task) for task in batch]
    assert failures.count(ModelFailed) == 1
    assert failures.count(ModelUnavailable) == 3


async def test_a_failed_study_that_is_sent_again_is_not_failed_for_good_by_a_poisoned_device(
    bench: Bench,
) -> None:
    bench.device.poisoned = True
    kinds = [await failure(bench.start(1)) for _ in range(3)]
    assert kinds == [ModelFailed, ModelUnavailable, ModelUnavailable]


async def test_one_studys_failure_fails_that_study_only(bench: Bench) -> None:
    bench.device.held, bench.device.bad_values = {0: threading.Event()}, {666}
    first = bench.start(0)
    await until(bench.device.began.is_set)
    good, bad = bench.start(1), bench.start(666)
    await until(lambda: bench.replica.waiting == 2)
    bench.device.held[0].set()
    assert await first
    assert await good
    assert await failure(bad) is ModelFailed
    assert [1, 666] in [sorted(batch) for batch in bench.device.batches]


# ---- hangs


async def test_a_hung_device_is_found_out_while_the_forwards_thread_is_stuck() -> None:
    bench = Bench(golden_s=0.05)
    bench.device.held = {0: threading.Event()}
    bench.device.golden_held = threading.Event()
    stuck = bench.start(0)
    await until(bench.device.began.is_set)
    waits = bench.start(1)
    await bench.replica.check_health()
    bench.clock.now = 61
    await bench.replica.check_health()  # returns at once, and has the golden input run
    assert [await failure(task) for task in (stuck, waits)] == [ModelUnavailable, ModelUnavailable]
    with pytest.raises(RuntimeError, match="not answered within"):
        await bench.replica.check_health()
    assert await failure(bench.start(2)) is ModelUnavailable
    assert bench.device.batches == [[0]]
    bench.release()


async def test_a_study_that_hangs_alone_holds_up_no_other(bench: Bench) -> None:
    bench.device.held = {0: threading.Event()}
    stuck = bench.start(0)
    await until(bench.device.began.is_set)
    waits = bench.start(1)
    bench.clock.now = 61
    await bench.replica.check_health()
    assert await waits
    assert bench.device.golden_runs == 1
    await bench.replica.check_health()
    bench.device.held[0].set()
    assert await stuck, "a slow forward that ends is an answer"
    await bench.replica.check_health()


async def test_a_study_that_outlasts_its_time_has_failed_and_ends_the_replica_and_no_other_study(
    bench: Bench,
) -> None:
    bench.device.held = {0: threading.Event()}
    stuck = bench.start(0)
    await until(bench.device.began.is_set)
    waits = bench.start(1)
    await until(lambda: bench.replica.waiting == 1)
    bench.clock.now = 301
    with pytest.raises(RuntimeError, match="within 300 s"):
        await bench.replica.check_health()
    assert [await failure(task) for task in (stuck, waits)] == [ModelFailed, ModelUnavailable]
    assert await failure(bench.start(2)) is ModelUnavailable


async def test_of_two_studies_that_run_long_beside_each_other_both_have_failed(bench: Bench) -> None:
    """Were they only told to try again elsewhere, they would end one replica after the other."""
    bench.device.held = {0: threading.Event(), 1: threading.Event()}
    both = []
    for value, now in ((0, 61), (1, 122)):
        both.append(bench.start(value))
        await until(lambda value=value: [value] in bench.device.batches)
        bench.clock.now = now
        await bench.replica.check_health()
        await until(lambda: bench.health.suspicion is None)
    assert [await failure(task) for task in both] == [ModelFailed, ModelFailed]
    with pytest.raises(RuntimeError, match="second forward"):
        await bench.replica.check_health()


# ---- the queue


async def test_the_ninth_study_is_prepared_while_eight_are_in_the_forward(bench: Bench) -> None:
    bench.device.held = {0: threading.Event(), 8: threading.Event()}
    first = bench.start(0)
    await until(bench.device.began.is_set)
    eight = [bench.start(value) for value in range(1, 9)]
    await until(lambda: bench.replica.waiting == 8)
    bench.device.held[0].set()
    await until(lambda: len(bench.device.batches) == 2)
    ninth = bench.start(9)
    await until(lambda: bench.replica.waiting == 1)
    bench.device.held[8].set()
    await asyncio.gather(first, *eight, ninth)
    assert [len(batch) for batch in bench.device.batches] == [1, 8, 1]


async def test_four_studies_of_a_network_that_takes_one_are_answered_one_by_one() -> None:
    """A study has two items here, so that none of them finds room in the forward of another."""
    bench = Bench(sharing=BatchLimit(8, 1))
    try:
        bench.device.held = {0: threading.Event(), 2: threading.Event()}
        running = bench.start(0)
        await until(bench.device.began.is_set)
        first, *others = [bench.start(value, order(age_s=9 - value)) for value in (1, 2, 3, 4)]
        await until(lambda: bench.replica.waiting == 4)
        bench.device.held[0].set()
        assert await running
        assert await first
        assert bench.device.batches[:2] == [[0], [1]]
        assert not any(task.done() for task in others)
        bench.device.held[2].set()
        await asyncio.gather(*others)
        assert bench.device.batches == [[0], [1], [2], [3], [4]]
    finally:
        bench.release()


async def test_stat_is_the_next_forward(bench: Bench) -> None:
    bench.device.held = {0: threading.Event()}
    tasks = [bench.start(0)]
    await until(bench.device.began.is_set)
    tasks += [bench.start(1), bench.start(2)]
    await until(lambda: bench.replica.waiting == 2)
    tasks.append(bench.start(3, order(Priority.STAT)))
    await until(lambda: bench.replica.waiting == 3)
    bench.device.held[0].set()
    await asyncio.gather(*tasks)
    assert bench.device.batches[:2] == [[0], [3]]


async def test_a_shadow_is_predicted_on_the_idle_thread_and_alone(bench: Bench) -> None:
    volumes = [a_study(1), a_study(2)]
    inferences = await asyncio.gather(*map(bench.replica.predict_when_idle, volumes))
    assert bench.device.batches == [[1], [2]]
    assert bench.device.threads == set(bench.idle_threads)
    assert [timing.stage for timing in inferences[0].stages] == [
        Stage.PREPARE,
        Stage.FORWARD,
        Stage.INTERPRET,
    ]


async def test_a_shadow_on_a_poisoned_device_gives_it_away_too(bench: Bench) -> None:
    bench.device.poisoned = True
    with pytest.raises(ModelFailed):
        await bench.replica.predict_when_idle(a_study(1))
    await until(lambda: bench.health.reason is not None)
    assert await failure(bench.start(1)) is ModelUnavailable


async def test_every_thread_is_named_for_its_work(bench: Bench) -> None:
    await bench.start(1)
    bench.device.bad_values = {666}
    await failure(bench.start(666))
    await until(lambda: bench.device.golden_runs == 1)
    assert {name.split("_")[0] for name in bench.device.threads} == {"forward", "golden"}


async def test_a_replica_that_is_shut_down_tells_whoever_waits_that_it_is_unavailable(bench: Bench) -> None:
    bench.device.held = {0: threading.Event()}
    tasks = [bench.start(0)]
    await until(bench.device.began.is_set)
    tasks.append(bench.start(1))
    await until(lambda: bench.replica.waiting == 1)
    bench.replica.close()
    assert [await failure(task) for task in tasks] == [ModelUnavailable, ModelUnavailable]


# ---- studies that the version does not know: those whose first voxel is above 1000


def check_first_voxel(study: Volume) -> InputCheck:
    is_foreign = int(study.voxels.flat[0]) > 1000
    return InputCheck(
        InputVerdict.FOREIGN if is_foreign else InputVerdict.TYPICAL, 2.0 if is_foreign else 0.5
    )


async def test_a_study_that_the_version_does_not_know_is_refused_before_any_forward() -> None:
    bench = Bench(guard=InputGuard(check_first_voxel))
    try:
        for predict in (bench.replica.predict_when_idle, lambda s: bench.replica.predict(s, order())):
            with pytest.raises(InputOutOfDistribution):
                await predict(a_study(1001))
        assert bench.device.batches == []
        assert bench.health.studies_at_fault == 0
    finally:
        bench.release()


async def test_a_study_is_checked_beside_its_preparation_and_not_after_it() -> None:
    is_prepared, threads = threading.Event(), set()

    def check(study: Volume) -> InputCheck:
        threads.add(threading.current_thread().name.split("_")[0])
        assert is_prepared.wait(PATIENCE_S), "the check does not hold up the preparation"
        return InputCheck()

    bench = Bench(guard=InputGuard(check))
    bench.threads.cpu.submit = released_at_end(bench.threads.cpu.submit, is_prepared)  # type: ignore[method-assign]
    try:
        assert await bench.start(1)
        assert threads == {"check"}
    finally:
        is_prepared.set()
        bench.release()


def released_at_end(submit: Callable[..., Any], ended: threading.Event) -> Callable[..., Any]:
    """An executor's `submit` whose work says that it has ended."""

    def work_then_set(work: Callable[..., Any], *args: Any) -> Any:
        try:
            return work(*args)
        finally:
            ended.set()

    return lambda work, *args: submit(work_then_set, work, *args)


async def test_a_study_that_cannot_be_prepared_is_told_as_that_also_where_it_is_foreign() -> None:
    bench = Bench(guard=InputGuard(check_first_voxel))
    try:
        with pytest.raises(UnsupportedSeries):
            await bench.replica.predict(replace(a_study(1001), modality="US"), order())
    finally:
        bench.release()


async def test_a_study_that_the_version_does_not_know_is_indeterminate_where_the_site_says_so() -> None:
    bench = Bench(guard=InputGuard(check_first_voxel, InputPolicy(InputRule.INDETERMINATE)))
    try:
        foreign, typical = await bench.start(1001), await bench.start(7)
        assert [f.presence for f in foreign.prediction.findings] == [Presence.INDETERMINATE]
        assert [f.presence for f in typical.prediction.findings] == [Presence.PRESENT]
        assert typical.prediction.input_check.verdict is InputVerdict.TYPICAL
    finally:
        bench.release()


@pytest.mark.parametrize(
    ("rule", "error"), [(InputRule.INDETERMINATE, InputOutOfDistribution), (InputRule.NOTE, ModelFailed)]
)
async def test_a_network_that_fails_on_a_foreign_study_is_blamed_only_by_a_site_that_but_notes(
    rule: InputRule, error: type[SerinusError]
) -> None:
    bench = Bench(guard=InputGuard(check_first_voxel, InputPolicy(rule)))
    bench.device.bad_values = {1001}
    try:
        with pytest.raises(error):
            await bench.start(1001)
        with pytest.raises(error):
            await bench.replica.predict_when_idle(a_study(1001))
    finally:
        bench.release()
