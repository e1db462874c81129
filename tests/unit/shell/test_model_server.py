"""What a model server makes of its settings and of the network it loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from models.prepare import prepare
from registry.golden import Golden
from registry.loading import LoadedNetwork
from serve_apps.adapters.cpu_priority import use_idle_scheduling
from serve_apps.application.model_replica import ReplicaThreads
from serve_apps.application.priority_batcher import BatchLimit
from serve_apps.deployments.model_server import (
    MAX_STUDIES_PER_FORWARD,
    ModelServer,
    golden_seconds,
    health_limits,
    loaded_model,
)
from serve_apps.settings import Settings
from tests.unit.models.builders import STAMP, input_spec, model_spec, ramp, volume

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")
GOLDEN = Golden(np.full((1, 1, 4, 4), 2, np.float32), np.full((1, 1), 2, np.float32))


def mean(batch: Tensor, /) -> Tensor:
    return batch.mean((1, 2, 3))[:, None]


def network(device: torch.device = CPU, max_batch: int = 32) -> LoadedNetwork:
    return LoadedNetwork(mean, model_spec(), max_batch, GOLDEN, device)


def test_the_next_batch_can_be_prepared_while_one_is_in_the_forward() -> None:
    deployment: Any = ModelServer
    assert deployment.max_ongoing_requests >= 2 * MAX_STUDIES_PER_FORWARD
    assert deployment.max_queued_requests == 256


def test_no_live_study_waits_in_serves_queue_which_knows_no_stat() -> None:
    deployment: Any = ModelServer
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    (worker,) = (d for d in config["applications"][0]["deployments"] if d["name"] == "JobWorker")
    live = worker["autoscaling_config"]["max_replicas"] * Settings().jobs_per_worker
    shadows = 4  # of each role one that is asked as live studies are, and one on idle cores
    assert deployment.max_ongoing_requests >= live + shadows


@pytest.mark.parametrize(("device", "studies"), [("cpu", 1), ("cuda", MAX_STUDIES_PER_FORWARD)])
@pytest.mark.parametrize("max_batch", [1, 32])
def test_studies_share_a_forward_where_that_is_faster_and_the_network_takes_them(
    device: str, studies: int, max_batch: int
) -> None:
    sharing = loaded_model(network(torch.device(device), max_batch), STAMP).sharing
    assert sharing == BatchLimit(studies, max_batch)


def test_a_loaded_model_forwards_and_gives_its_golden_answer() -> None:
    model = loaded_model(network(), STAMP)
    prepared = prepare(volume(ramp(3)), input_spec())
    (outputs,) = model.forward([prepared])
    assert isinstance(outputs, np.ndarray)
    assert outputs.shape == (3, 1)
    assert model.golden_fault() is None


def test_the_golden_input_may_take_a_multiple_of_its_time_and_never_longer_than_a_caller_waits() -> None:
    settings = Settings(forward_timeout_s=300, forward_hang_s=60)
    assert golden_seconds(network()) < 10
    assert [health_limits(settings, seconds).golden_s for seconds in (0.1, 4, 100)] == [10, 40, 300]


def test_a_forward_is_suspected_at_the_latest_when_no_caller_waits() -> None:
    limits = health_limits(Settings(forward_timeout_s=30, forward_hang_s=60), 0.1)
    assert (limits.forward_hang_s, limits.forward_lost_s, limits.golden_s) == (30, 30, 10)


def test_a_version_may_state_a_time_of_its_own_for_a_study_and_none_beyond_the_sites() -> None:
    settings = Settings(forward_timeout_s=300, forward_hang_s=60)
    limits = [health_limits(settings, 0.1, seconds) for seconds in (0, 20, 120, 1000)]
    assert [limit.forward_lost_s for limit in limits] == [300, 20, 120, 300]
    assert [limit.forward_hang_s for limit in limits] == [60, 20, 60, 60]


def test_the_idle_thread_runs_on_idle_cores_only_and_no_other_does() -> None:
    threads = ReplicaThreads(use_idle_scheduling)
    try:
        idle = threads.idle.submit(lambda: os.sched_getscheduler(0)).result()
        others = [
            pool.submit(lambda: os.sched_getscheduler(0)).result()
            for pool in (threads.cpu, threads.forward, threads.golden)
        ]
    finally:
        threads.close()
    assert idle == os.SCHED_IDLE
    assert set(others) == {os.sched_getscheduler(0)}
