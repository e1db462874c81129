"""One Serve application per model version: start, look at, warm, delete. All calls are idempotent.

The applications are imperative and carry a reserved prefix, so a `serve deploy` of the declarative config
leaves them alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import ray
from ray import serve
from ray.serve import api as serve_api

from imaging.errors import SerinusError
from serve_apps.config_check import RESERVED_PREFIX
from serve_apps.messages import ServedVersion
from serve_apps.model_server import ModelServer
from serve_apps.serve_reading import call
from serve_apps.settings import Settings

WARM_DEADLINE_S = 10.0


class AppState(StrEnum):
    """What Serve says of an application, as far as it matters here."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class AppStatus:
    state: AppState
    message: str = ""


SERVE_STATES: Mapping[str, AppState] = {
    "NOT_STARTED": AppState.STARTING,
    "DEPLOYING": AppState.STARTING,
    "RUNNING": AppState.RUNNING,
    "UNHEALTHY": AppState.RUNNING,  # its replicas are being replaced; callers have deadlines of their own
    "DEPLOY_FAILED": AppState.FAILED,
    "DELETING": AppState.STOPPING,
}


class VersionApps:
    """The applications of all versions of this cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def statuses(self) -> Mapping[str, AppStatus]:
        """Every version's application by name."""
        applications = (await asyncio.to_thread(serve.status)).applications
        return {
            name: AppStatus(SERVE_STATES.get(str(found.status.value), AppState.STARTING), found.message)
            for name, found in applications.items()
            if name.startswith(RESERVED_PREFIX)
        }

    async def start(self, version: ServedVersion) -> None:
        """Have Serve begin to start the version; returns before it is ready."""
        await asyncio.to_thread(self._run, version)

    def _run(self, version: ServedVersion) -> None:
        server: Any = ModelServer  # Serve's decorator made it a Deployment
        deployment = server.options(**self._options(version))
        application = deployment.bind(self._settings, version.model, version.version)
        serve_api._run(application, name=version.app_name, route_prefix=None, _blocking=False)

    def _options(self, version: ServedVersion) -> dict[str, Any]:
        gpu = self._settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        resources = version.resources
        options: dict[str, Any] = {
            "ray_actor_options": {
                "num_cpus": resources.num_cpus,
                "num_gpus": resources.num_gpus if gpu else 0,
                "runtime_env": {"env_vars": {"OMP_NUM_THREADS": "1"}},
            }
        }
        if resources.memory_bytes is not None:
            options["ray_actor_options"]["memory"] = resources.memory_bytes
        if resources.max_replicas > resources.min_replicas:
            options["autoscaling_config"] = {
                "min_replicas": resources.min_replicas,
                "max_replicas": resources.max_replicas,
                "target_ongoing_requests": 2,
            }
        else:
            options["num_replicas"] = max(1, resources.min_replicas)
        return options

    async def warm(self, app_name: str) -> bool:
        """Whether a replica of the application answers: it has loaded, verified and passed the golden input."""
        try:
            handle = serve.get_deployment_handle("ModelServer", app_name=app_name)
            await call(handle.warm, deadline_s=WARM_DEADLINE_S)
        except (KeyError, SerinusError, ray.exceptions.RayError):
            return False
        return True

    async def delete(self, app_name: str) -> None:
        await asyncio.to_thread(serve.delete, app_name, False)
