"""How long a version worked at a study: the same parts for a caller and for a shadow, without any wait."""

from __future__ import annotations

import threading
import time

import pytest

from serve_apps.application.work_time import timed, work_ms
from tests.unit.shell.test_model_replica import Bench, a_study, bench, order, until

__all__ = ["bench"]
HELD_MS = 60.0


def test_the_parts_are_added_and_a_shared_forward_tells_nothing() -> None:
    assert work_ms(1.0, 20.0, 3.0, studies=1) == 24.0
    assert work_ms(1.0, 20.0, 3.0, studies=2) is None


def test_what_is_timed_gives_its_result_and_raises_what_it_raises() -> None:
    result, took_ms = timed(lambda: 7)
    assert (result, took_ms >= 0.0) == (7, True)
    with pytest.raises(KeyError):
        timed(lambda: {}["nothing"])


async def test_a_caller_and_a_shadow_are_told_what_the_version_worked(bench: Bench) -> None:
    answered, shadow = await bench.start(1), await bench.replica.predict_when_idle(a_study(2))
    assert answered.work_ms is not None
    assert shadow.work_ms is not None
    for inference in (answered, shadow):
        in_all = sum(timing.duration_ms for timing in inference.stages)
        assert 0.0 < (inference.work_ms or 0.0) <= in_all


async def test_a_wait_behind_another_study_is_no_work(bench: Bench) -> None:
    bench.device.held = {1: threading.Event()}
    first = bench.start(1)
    await until(bench.device.began.is_set)
    second = bench.start(2)
    await until(lambda: bench.replica.waiting == 1)
    begun = time.perf_counter()
    await until(lambda: (time.perf_counter() - begun) * 1e3 >= HELD_MS)
    bench.device.held[1].set()
    held, waited = await first, await second
    assert (held.work_ms or 0.0) >= HELD_MS
    in_all = sum(timing.duration_ms for timing in waited.stages)
    assert in_all >= HELD_MS, "it did wait"
    assert waited.work_ms is not None
    assert waited.work_ms <= in_all - HELD_MS / 2


async def test_of_studies_in_one_forward_nobody_knows_what_each_took(bench: Bench) -> None:
    bench.device.held = {0: threading.Event()}
    first = bench.start(0)
    await until(bench.device.began.is_set)
    shared = [bench.start(value, order()) for value in (1, 2)]
    await until(lambda: bench.replica.waiting == 2)
    bench.device.held[0].set()
    await first
    assert [(await one).work_ms for one in shared] == [None, None]
    assert [1, 2] in [sorted(batch) for batch in bench.device.batches]
