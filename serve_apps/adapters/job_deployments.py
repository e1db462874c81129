"""What Ingress, JobWorker and Outbox say to each other about jobs, by handles found by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from ray import serve
from ray.serve.exceptions import DeploymentUnavailableError

from core.priority import QueuePlace
from serve_apps.adapters.broadcast import APPLICATION, Replies, SendToAll, ServeHandles
from serve_apps.adapters.serve_calls import call
from serve_apps.application.messages import JobOutcome

logger = logging.getLogger("serinus.jobs")
RUN_S: Final = 3600.0  # a job may wait that long for its turn; the worker goes on when the call has ended
TELL_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.05


class ServeJobWorkers:
    """Has a job worker run a job, by a Serve handle.

    The message is small, so it goes by gRPC and not through the object store.
    """

    def __init__(self, handle: Any = None) -> None:
        self._handle = handle
        self._method: Any = None

    async def run(self, job_id: str, place: QueuePlace, waiter_s: float | None = None) -> JobOutcome:
        if self._method is None:
            handle = self._handle or await asyncio.to_thread(
                serve.get_deployment_handle, "JobWorker", app_name=APPLICATION
            )
            self._method = handle.options(_by_reference=False).run
        outcome: JobOutcome = await call(self._method, job_id, place, waiter_s, deadline_s=RUN_S)
        return outcome


class JobBroadcast:
    """Tells every replica of `deployments` one thing of a job, by `method`; who is not told reads the ledger."""

    def __init__(self, deployments: Sequence[str], method: str, send_to_all: SendToAll | None = None) -> None:
        self._deployments = tuple(deployments)
        self._method = method
        self._send_to_all = send_to_all or ServeHandles().send_to_all

    async def watch(self, job_id: str) -> None:
        await self._tell(job_id)

    async def job_ended(self, job_id: str) -> None:
        await self._tell(job_id)

    async def _tell(self, job_id: str) -> None:
        await asyncio.gather(*(self._tell_all(deployment, job_id) for deployment in self._deployments))

    async def _tell_all(self, deployment: str, job_id: str) -> None:
        try:
            async with asyncio.timeout(TELL_S):
                replies = await self._send(deployment, job_id)
                await asyncio.gather(*replies, return_exceptions=True)
        except Exception as error:  # noqa: BLE001 - the deployment may be starting, or gone for the moment
            logger.info("jobs.not_told", extra={"deployment": deployment, "error": type(error).__name__})

    async def _send(self, deployment: str, job_id: str) -> Replies:
        """Send it as soon as a replica is known: a new handle knows none in its first moments."""
        while True:
            try:
                return await self._send_to_all(deployment, self._method, job_id)
            except DeploymentUnavailableError:
                await asyncio.sleep(LOOK_AGAIN_S)
