"""One Serve application per model version: start, look at, warm, delete. All calls are idempotent.

The applications are imperative and carry a reserved prefix, so a `serve deploy` of the declarative config
leaves them alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version as installed_version
from typing import Any

import ray
from ray import serve
from ray.serve import api as serve_api
from ray.serve.schema import ApplicationStatusOverview

from serve_apps.application.messages import RESERVED_PREFIX, ServedVersion
from serve_apps.control.readiness import ReadinessProbes
from serve_apps.control.version_resources import deployment_options
from serve_apps.deployments.model_server import ModelServer
from serve_apps.settings import Settings

logger = logging.getLogger("serinus.apps")
PLATFORM = installed_version("serinus")


class AppState(StrEnum):
    """What Serve says of an application, as far as it matters here."""

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class AppStatus:
    """`replicas` counts those that run."""

    state: AppState
    message: str = ""
    replicas: int = 0


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

    def __init__(self, settings: Settings, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called when an application has become warm."""
        self._settings = settings
        self.changes = 0  # how often an application was started, changed, deleted or became warm
        self._changed = changed
        self._warm_ups = ReadinessProbes(self._note_change)
        self._deployed: dict[str, dict[str, Any]] = {}
        self._has_gpu = False

    async def statuses(self) -> Mapping[str, AppStatus]:
        """Every version's application by name."""
        applications = (await asyncio.to_thread(serve.status)).applications
        return {
            name: AppStatus(
                SERVE_STATES.get(str(found.status.value), AppState.STARTING), found.message, _replicas(found)
            )
            for name, found in applications.items()
            if name.startswith(RESERVED_PREFIX)
        }

    async def ensure(self, version: ServedVersion, *, may_sleep: bool) -> None:
        """Have Serve begin to start the version, or change its resources; returns before that is done.

        Asking again for the same does nothing. Other numbers of replicas restart none of them.
        """
        if version.app_name not in self._deployed:
            self._has_gpu = await asyncio.to_thread(self._find_gpu)
        options = deployment_options(version.resources, has_gpu=self._has_gpu, may_sleep=may_sleep)
        if self._deployed.get(version.app_name) == options:
            return
        logger.info("apps.deploy", extra={"app": version.app_name})
        self.changes += 1
        await asyncio.to_thread(self._run, version, options)
        self._deployed[version.app_name] = options
        self._warm_ups.is_ready(version.app_name)

    def _find_gpu(self) -> bool:
        return self._settings.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0

    def may_sleep(self, app_name: str) -> bool:
        """Whether the application was told that it may be without a replica."""
        autoscaling = self._deployed.get(app_name, {}).get("autoscaling_config", {})
        return bool(autoscaling.get("min_replicas") == 0)

    def _run(self, version: ServedVersion, options: dict[str, Any]) -> None:
        server: Any = ModelServer  # Serve's decorator made it a Deployment
        memory_bytes = version.resources.memory_bytes
        # with a code version of ours, Serve restarts replicas only for what needs it
        code = f"{PLATFORM}-{version.digest}-{memory_bytes}"
        deployment = server.options(**options, version=code, _internal=True)
        application = deployment.bind(self._settings, version.model, version.version, memory_bytes)
        serve_api._run(application, name=version.app_name, route_prefix=None, _blocking=False)

    def is_warm(self, app_name: str) -> bool:
        """Whether a replica of the application has answered since it was started; asks it if need be."""
        return self._warm_ups.is_ready(app_name)

    def mark_unready(self, app_name: str) -> None:
        """Its replicas are gone: the next ones must answer anew."""
        self._warm_ups.mark_unready(app_name)

    def _note_change(self) -> None:
        self.changes += 1
        self._changed()

    async def delete(self, app_name: str) -> None:
        self.changes += 1
        self._deployed.pop(app_name, None)
        self._warm_ups.forget(app_name)
        await asyncio.to_thread(serve.delete, app_name, False)


def _replicas(application: ApplicationStatusOverview) -> int:
    return sum(each.replica_states.get("RUNNING", 0) for each in application.deployments.values())
