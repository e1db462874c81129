"""The same model behind one bare Serve deployment: what a site would write without Serinus, for `router_cost`.

A replica fetches, decodes, prepares, forwards and interprets with the same functions, and answers with the same
JSON. It has no durable job, no ledger, no routing, no tracing, no keys, no report, and the volume never leaves it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import ray
import torch
from ray import serve
from starlette.requests import Request

from benchmarks import empty_hops
from imaging.assemble import to_volume
from imaging.finding import ModelStamp
from imaging.series import choose_series
from imaging.summary import readable_images, summarize_study
from imaging.volume import Volume
from models.device import choose_device
from models.forward import Outputs, forward
from models.interpret import interpret
from models.prepare import Prepared, prepare
from registry.cache import NodeCache
from registry.client import RegistryClient
from registry.loading import load_network
from registry.signing import load_verify_key
from serve_apps.adapters.archives import Archives
from serve_apps.application.result import to_result
from serve_apps.embedded.ray_head import ray_environment
from serve_apps.settings import Settings, load_settings
from tests.stack import LiveStack

ROOT = Path(__file__).parents[1]
PREFIX = "/bare"


@serve.deployment(num_replicas=1)
class BareModel:
    """One study per request: `{"study_uid": …, "source": …}`."""

    def __init__(self, settings: Settings, model: str, version: str) -> None:
        torch.set_num_threads(1)
        self._archives = Archives(settings)
        self._device = choose_device(settings.device)
        registry = RegistryClient(settings.registry_url)
        cache = NodeCache(settings.paths.models, registry, load_verify_key(settings.paths.verify_key))
        cached = cache.fetch(model, version)
        self._loaded = load_network(cached, self._device)
        self._spec = self._loaded.spec
        self._stamp = ModelStamp(
            name=model,
            version=version,
            digest=cached.digest,
            manufacturer=self._spec.manufacturer,
            research_only=True,
        )

    async def __call__(self, request: Request) -> dict[str, Any]:
        asked = await request.json()
        volume = await self._read(asked["source"], asked["study_uid"])
        prepared = await asyncio.to_thread(prepare, volume, self._spec.input)
        (outputs,) = await asyncio.to_thread(self._forward, prepared)
        prediction = await asyncio.to_thread(interpret, outputs, volume, prepared, self._spec, self._stamp)
        return to_result(prediction, asked["study_uid"], sr_uid=None, routing={}).to_json()

    async def _read(self, source: str, study_uid: str) -> Volume:
        rule = self._spec.input.series
        instances = await self._archives.of(source).fetch_study(
            study_uid, series_uids=None, modalities=tuple(rule.modalities)
        )
        choice = choose_series(summarize_study(instances.series), rule)
        datasets = readable_images(instances.series[choice.require().series_uid])
        return await asyncio.to_thread(
            to_volume, datasets, max_gap_ratio=rule.max_gap_ratio, pixel_digests=instances.pixel_digests
        )

    def _forward(self, prepared: Prepared) -> list[Any]:
        results: list[Outputs | Any] = forward(
            self._loaded.network, [prepared], self._loaded.max_batch, self._device
        )
        return results


def deploy(model: str, version: str) -> None:
    """Add the applications to the Ray that the environment names; returns when they are running."""
    settings = load_settings()
    ray.init(log_to_driver=False, logging_level="warning")
    here = {"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}}
    deployment: Any = BareModel  # Serve's decorator made it a Deployment
    application = deployment.options(
        max_ongoing_requests=settings.jobs_per_worker,
        ray_actor_options={"num_cpus": 0.1, "runtime_env": here},
    ).bind(settings, model, version)
    serve.run(application, name="bare", route_prefix=PREFIX, blocking=False)
    empty_hops.deploy()


def deploy_beside(stack: LiveStack, model: str, version: str) -> None:
    """Deploy it into a running stack, from a driver process of its own."""
    command = f"from benchmarks.bare_app import deploy; deploy({model!r}, {version!r})"
    environment = ray_environment(stack.settings) | {
        name: value for name, value in stack.environment.items() if name.startswith("SERINUS_")
    }
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the bare application did not start:\n{done.stdout}{done.stderr}")
