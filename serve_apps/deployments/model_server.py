"""One model version in an application of its own: prepare, forward in batches, interpret.

A replica is ready when it has verified the artifact's signed digest, loaded it, and answered the golden input. It is
healthy as long as it computes: `serve_apps.application.model_replica` says how that is judged.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from ray import serve

from core.errors import SerinusError
from core.priority import QueueOrder
from core.private_files import write_privately
from imaging.finding import ModelStamp
from imaging.volume import Volume
from models.device import choose_device
from models.input_check.check import check_input
from observability.event_log import configure_logging
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.loading import LoadedNetwork, load_network
from registry.signing import load_verify_key
from serve_apps.adapters.cpu_priority import lower_priority, use_idle_scheduling
from serve_apps.adapters.flight_recorder import FlightRecorder
from serve_apps.adapters.gpu_sampler import GpuSampler
from serve_apps.adapters.living_workers import own_worker_name
from serve_apps.adapters.memory_guard import BEFORE_ROUTERS, offer_to_the_oom_killer, third_of_the_machine
from serve_apps.adapters.memory_watcher import held_bytes
from serve_apps.adapters.shared_objects import open_packed
from serve_apps.application.failed_work import with_work_at
from serve_apps.application.input_rule import UNGUARDED, InputGuard, no_check
from serve_apps.application.loans import Loan
from serve_apps.application.messages import Inference
from serve_apps.application.model_replica import LoadedModel, ModelReplica, ReplicaThreads
from serve_apps.application.priority_batcher import BatchLimit
from serve_apps.application.replica_health import HealthLimits, ReplicaHealth
from serve_apps.resources import Resources
from serve_apps.settings import Settings

MAX_STUDIES_PER_FORWARD: Final = 8
MAX_ONGOING: Final = 32  # above what four workers ask at once: here STAT is first, in Serve's queue it is not
UNASKED: Final = Resources()
LEAST_GOLDEN_S: Final = 10.0
GOLDEN_SLACK: Final = 10.0  # the golden input may take this many times as long as when nothing else ran


@serve.deployment(
    max_ongoing_requests=MAX_ONGOING,
    max_queued_requests=256,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=2,
    graceful_shutdown_timeout_s=20,
    max_constructor_retry_count=3,  # a version that cannot be loaded here cannot be loaded later either
    max_surge_percent=100,
)
class ModelServer:
    """Predicts with one version. An inference names the version that really made it."""

    def __init__(self, settings: Settings, model: str, version: str, resources: Resources = UNASKED) -> None:
        write_privately()
        configure_logging("INFO")
        offer_to_the_oom_killer(BEFORE_ROUTERS)
        lower_priority()
        torch.set_num_threads(1)
        asked = resources.memory_bytes
        self._memory_bytes = third_of_the_machine() if asked is None else asked
        device = choose_device(settings.device)
        cache = NodeCache(
            settings.paths.models,
            RegistryClient(settings.registry_url),
            load_verify_key(settings.paths.verify_key),
        )
        cached = cache.fetch(model, version)
        network = load_network(cached, device)
        stamp = ModelStamp(
            name=model,
            version=version,
            digest=cached.digest,
            manufacturer=network.spec.manufacturer,
            research_only=True,  # until the worker says otherwise: the gate may change while this replica runs
        )
        self._digest = cached.digest
        self._gpu = GpuSampler(network.device)
        self._name = own_worker_name()  # as the controller finds this replica, which is paid for
        self._opening = ThreadPoolExecutor(
            MAX_ONGOING, "open"
        )  # a volume on its way from another node holds up none
        self._replica = ModelReplica(
            loaded_model(network, stamp, input_guard(network, settings)),
            ReplicaHealth(
                health_limits(settings, golden_seconds(network), resources.study_timeout_s), time.monotonic
            ),
            ReplicaThreads(use_idle_scheduling),
            FlightRecorder(settings.paths.flights / f"{model}-{version}"),
        )

    async def predict(self, loan: Loan, order: QueueOrder) -> Inference:
        """Predict for a live study. Raises StudyError or ModelError, without a pixel value, and StudyEvicted."""
        volume = await self._open(loan)
        try:
            return await self._told(await self._replica.predict(volume, order))
        except SerinusError as error:
            raise with_work_at(error, self._name) from None

    async def predict_when_idle(self, loan: Loan) -> Inference:
        """Predict for a shadow, on cores that no live study wants. Raises as for a live study."""
        volume = await self._open(loan)
        try:
            return await self._told(await self._replica.predict_when_idle(volume))
        except SerinusError as error:
            raise with_work_at(error, self._name) from None

    async def warm(self) -> str:
        """The digest of the version that is ready here."""
        return self._digest

    async def check_health(self) -> None:
        """Raise when the version no longer computes here, or when the replica holds more memory than it may."""
        await self._replica.check_health()
        if self._memory_bytes and held_bytes(os.getpid()) > self._memory_bytes:
            raise RuntimeError(
                f"the replica holds more than the {self._memory_bytes >> 20} MiB that its version may "
                "(tag serinus.resources.memory_bytes)"
            )

    def __del__(self) -> None:
        if hasattr(self, "_replica"):  # its constructor may have failed
            self._replica.close()
        if hasattr(self, "_opening"):
            self._opening.shutdown(wait=False, cancel_futures=True)

    async def _told(self, inference: Inference) -> Inference:
        """With this replica's name, and how busy its GPU is."""
        if inference.device == "cpu":
            return replace(inference, replica=self._name)
        load = await asyncio.get_running_loop().run_in_executor(self._opening, self._gpu.sample)
        return replace(inference, replica=self._name, gpu=load)

    async def _open(self, loan: Loan) -> Volume:
        volume: Volume = await asyncio.get_running_loop().run_in_executor(
            self._opening, open_packed, loan.packed
        )
        return volume


def input_guard(network: LoadedNetwork, settings: Settings) -> InputGuard:
    """The version's own reference, and what the site makes of a study that lies outside of it."""
    reference = network.reference
    check = no_check if reference is None else partial(check_input, reference=reference)
    return InputGuard(check, settings.input_policy)


def loaded_model(network: LoadedNetwork, stamp: ModelStamp, guard: InputGuard = UNGUARDED) -> LoadedModel:
    """On a GPU studies share a forward that the network takes whole; a study for which it needs several has them to
    itself, so that none waits for the forward of another. A CPU computes studies no faster together.
    """
    studies = 1 if network.device.type == "cpu" else MAX_STUDIES_PER_FORWARD
    return LoadedModel(
        spec=network.spec,
        stamp=stamp,
        device=str(network.device),
        sharing=BatchLimit(studies, network.max_batch),
        forward=network.forward,
        golden_fault=network.golden_fault,
        guard=guard,
    )


def golden_seconds(network: LoadedNetwork) -> float:
    """How long the golden input takes here, while the replica does nothing else."""
    started = time.monotonic()
    network.golden_fault()
    return time.monotonic() - started


def health_limits(settings: Settings, golden_s: float, study_timeout_s: float = 0) -> HealthLimits:
    """A forward is suspected at the latest when it is given up: after the version's own time for a study, or when no
    caller waits for it any more.
    """
    lost_s = min(study_timeout_s or settings.forward_timeout_s, settings.forward_timeout_s)
    return HealthLimits(
        forward_hang_s=min(settings.forward_hang_s, lost_s),
        forward_lost_s=lost_s,
        golden_s=min(settings.forward_timeout_s, max(LEAST_GOLDEN_S, GOLDEN_SLACK * golden_s)),
    )
