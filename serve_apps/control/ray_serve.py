"""Ray Serve as the rollout controller uses it: how its applications stand, their start, deletion, first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve._private.deployment_info import DeploymentInfo
from ray.serve.context import _get_global_client
from ray.serve.schema import ApplicationStatusOverview

from canary.replicas import Capacity
from core.errors import SerinusError
from serve_apps.adapters.serve_calls import call
from serve_apps.application.messages import RESERVED_PREFIX
from serve_apps.control.apply import AppSpec
from serve_apps.control.observe import AppState, AppStatus
from serve_apps.settings import Settings

READY_DEADLINE_S = 600.0
SERVE_STATES: Mapping[str, AppState] = {
    "NOT_STARTED": AppState.STARTING,
    "DEPLOYING": AppState.STARTING,
    "RUNNING": AppState.RUNNING,
    "UNHEALTHY": AppState.RUNNING,  # its replicas are being replaced; callers have deadlines of their own
    "DEPLOY_FAILED": AppState.FAILED,
    "DELETING": AppState.STOPPING,
}


class RayServe:
    """Calls Ray Serve itself. `server` is the deployment that each application consists of."""

    def __init__(self, settings: Settings, server: Any) -> None:
        self._settings = settings
        self._server = server

    def overview(self) -> object:
        """The states of all applications and deployments, as Serve's controller has them at hand.

        A replica that dies, or comes, changes its deployment's state. `serve.status()` builds the whole
        configuration of every application again.
        """
        client = _get_global_client(raise_if_no_controller_running=False)
        return ray.get(client._controller.list_serve_statuses.remote()) if client is not None else None

    def statuses(self) -> Mapping[str, AppStatus]:
        return {
            name: AppStatus(
                SERVE_STATES.get(str(app.status.value), AppState.STARTING), app.message, _replicas(app)
            )
            for name, app in serve.status().applications.items()
            if name.startswith(RESERVED_PREFIX)
        }

    def run(self, spec: AppSpec) -> None:
        version = spec.version
        # with a code version of ours, Serve restarts replicas only for what needs it
        deployment = self._server.options(**spec.options, version=spec.code, _internal=True)
        application = deployment.bind(self._settings, version.model, version.version, version.resources)
        target = serve.RunTarget(application, name=version.app_name, route_prefix=None)
        serve.run_many([target], wait_for_applications_running=False)

    def delete(self, app_name: str) -> None:
        serve.delete(app_name, False)

    def reserved(self, app_name: str, deployment: str) -> Mapping[str, float]:
        """What Ray sets aside for one replica of a deployment: CPU, GPU, memory in bytes.

        Raises KeyError for one that is gone.
        """
        client = _get_global_client(raise_if_no_controller_running=False)
        if client is None:
            raise KeyError(deployment)
        route = client.get_deployment_info(deployment, app_name)
        return reserved_by(DeploymentInfo.from_proto(route.deployment_info))

    def has_gpu(self) -> bool:
        return bool(ray.cluster_resources().get("GPU", 0) > 0)


def cluster_capacity() -> Capacity:
    """What the nodes of the cluster have together, whatever of it is taken."""
    has = ray.cluster_resources()
    return Capacity(has.get("CPU", 1.0), has.get("GPU", 0.0), has.get("memory", 0.0))


async def ask_replica(app_name: str) -> bool:
    """Wait for one of the application's replicas to answer; false when that will not come."""
    try:
        handle = await asyncio.to_thread(serve.get_deployment_handle, "ModelServer", app_name=app_name)
        await call(handle.warm, deadline_s=READY_DEADLINE_S)
    except (KeyError, SerinusError, ray.exceptions.RayError):
        return False
    return True


def reserved_by(info: DeploymentInfo) -> Mapping[str, float]:
    """What one replica of the deployment reserves."""
    return dict(info.replica_config.resource_dict)


def _replicas(application: ApplicationStatusOverview) -> int:
    return sum(status.replica_states.get("RUNNING", 0) for status in application.deployments.values())
