"""What Serve alone costs on the way that a study takes in Serinus: the same calls, and nothing done in them.

    HTTP ──► Door ──gRPC──► Worker ──gRPC──► Reader, then ──gRPC──► Model

Beside it the Door that answers at once: the one hop that a bare deployment has, too.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request

PREFIX = "/empty-hops"
OPTIONS: dict[str, Any] = {"max_ongoing_requests": 100, "ray_actor_options": {"num_cpus": 0.05}}


@serve.deployment(**OPTIONS)
class Reader:
    async def fetch(self, study: str) -> str:
        return study


@serve.deployment(**OPTIONS)
class Model:
    async def predict(self, study: str) -> str:
        return study


@serve.deployment(**OPTIONS)
class Worker:
    def __init__(self, reader: DeploymentHandle, model: DeploymentHandle) -> None:
        self._reader = reader.options(_by_reference=False)
        self._model = model.options(_by_reference=False)

    async def run(self, study: str) -> str:
        fetched = await self._reader.fetch.remote(study)
        predicted: str = await self._model.predict.remote(fetched)
        return predicted


@serve.deployment(**OPTIONS)
class Door:
    """`{"study_uid": …, "hops": true}`: by way of the others, or answered here."""

    def __init__(self, worker: DeploymentHandle) -> None:
        self._worker = worker.options(_by_reference=False)

    async def __call__(self, request: Request) -> dict[str, str]:
        asked = await request.json()
        study = asked["study_uid"]
        return {"study_uid": await self._worker.run.remote(study) if asked["hops"] else study}


def deploy() -> None:
    """Add the application to the Ray that this process is connected to; returns when it is running."""
    deployments: tuple[Any, ...] = (Door, Worker, Reader, Model)
    door, worker, reader, model = deployments
    application = door.bind(worker.bind(reader.bind(), model.bind()))
    serve.run(application, name="empty-hops", route_prefix=PREFIX, blocking=False)
