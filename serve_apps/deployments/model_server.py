"""One model version in an application of its own: prepare, forward in batches, interpret.

A replica is ready when it has verified the artifact's signed digest, loaded it, and answered the golden input.
It starts a batch at once when it is idle, and collects only while a forward is running: no caller waits for a
batch to fill.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from ray import serve

from core.errors import ModelFailed
from core.priority import QueueOrder
from imaging.finding import ModelStamp
from imaging.volume import Volume
from models.device import choose_device
from models.forward import Outputs, forward
from models.interpret import interpret
from models.prepare import Prepared, prepare
from observability.event_log import configure_logging
from observability.names import Stage
from observability.stage_clock import StageClock
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.loading import load_network
from registry.signing import load_verify_key
from serve_apps.adapters.cpu_priority import lower_priority, use_idle_scheduling
from serve_apps.application.messages import Inference
from serve_apps.settings import Settings

MAX_STUDIES_PER_BATCH = 8


@serve.deployment(
    max_ongoing_requests=MAX_STUDIES_PER_BATCH,
    max_queued_requests=256,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=2,
    graceful_shutdown_timeout_s=20,
    max_constructor_retry_count=3,  # what is wrong with a version is wrong the next time too
    max_surge_percent=100,
)
class ModelServer:
    """Reads volumes with one version. Answers name the version that really produced them."""

    def __init__(self, settings: Settings, model: str, version: str, memory_bytes: int = 0) -> None:
        configure_logging("INFO")
        lower_priority()
        self._memory_bytes = memory_bytes
        self._idle = ThreadPoolExecutor(1, "idle", initializer=use_idle_scheduling)
        torch.set_num_threads(1)
        self._device = choose_device(settings.device)
        cache = NodeCache(
            settings.paths.models,
            RegistryClient(settings.registry_url),
            load_verify_key(settings.paths.verify_key),
        )
        cached = cache.fetch(model, version)
        self._loaded = load_network(cached, self._device)
        self._spec = self._loaded.spec
        self._stamp = ModelStamp(
            name=model,
            version=version,
            digest=cached.digest,
            manufacturer=self._spec.manufacturer,
            research_only=True,  # until the router says otherwise: the gate may change while we run
        )

    async def predict(self, volume: Volume, order: QueueOrder) -> Inference:
        """Read one volume; raises ModelFailed without a pixel value in its text."""
        clock = StageClock()
        with clock.stage(Stage.PREPARE):
            prepared = await asyncio.to_thread(prepare, volume, self._spec.input)
        with clock.stage(Stage.FORWARD):
            outputs = await self._forward(prepared)
        with clock.stage(Stage.INTERPRET):
            prediction = await asyncio.to_thread(
                interpret, outputs, volume, prepared, self._spec, self._stamp
            )
        return Inference(prediction, clock.timings, str(self._device))

    async def predict_when_idle(self, volume: Volume) -> Inference:
        """The same for a reading that nobody waits for: alone, and on cores that no live study wants."""
        return await asyncio.get_running_loop().run_in_executor(self._idle, self._read_alone, volume)

    def _read_alone(self, volume: Volume) -> Inference:
        clock = StageClock()
        with clock.stage(Stage.PREPARE):
            prepared = prepare(volume, self._spec.input)
        with clock.stage(Stage.FORWARD):
            (outputs,) = self._forward_all([prepared])
        if isinstance(outputs, ModelFailed):
            raise outputs
        with clock.stage(Stage.INTERPRET):
            prediction = interpret(outputs, volume, prepared, self._spec, self._stamp)
        return Inference(prediction, clock.timings, str(self._device))

    @serve.batch(max_batch_size=MAX_STUDIES_PER_BATCH, batch_wait_timeout_s=0.0)
    async def _forward(self, studies: list[Prepared]) -> list[Outputs | ModelFailed]:
        """Forward what waits, together where shapes agree; one study's failure fails that study only."""
        return await asyncio.to_thread(self._forward_all, studies)

    def _forward_all(self, studies: list[Prepared]) -> list[Outputs | ModelFailed]:
        return forward(self._loaded.network, studies, self._loaded.max_batch, self._device)

    async def warm(self) -> str:
        """The digest of the version that is ready here."""
        return self._stamp.digest

    def check_health(self) -> None:
        """A replica that leaks is replaced before its neighbours feel it."""
        if self._memory_bytes and own_memory_bytes() > self._memory_bytes:
            raise RuntimeError("the replica holds more memory than its version may")


def own_memory_bytes() -> int:
    """What this process alone holds: no shared libraries, no volumes in the object store (proc(5), RssAnon)."""
    status = Path("/proc/self/status").read_text()
    (kib,) = re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
    return int(kib) * 1024
