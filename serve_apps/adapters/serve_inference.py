"""InferencePort over Ray Serve handles: a deadline and a cancel on every call, Ray's errors turned into ours."""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError, ObjectLostError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from core.errors import DeadlineExceeded, ModelUnavailable, SerinusError, SourceUnavailable
from core.priority import QueueOrder
from serve_apps.application.messages import FetchedStudy, FetchRequest, Inference, ServedVersion

LOST_REPLICA = (ActorDiedError, ActorUnavailableError)


class ServeInference:
    """Calls the study reader and the versions' own applications. The volume travels as a reference."""

    def __init__(self, reader: DeploymentHandle) -> None:
        self._reader = reader.options(_by_reference=True)
        self._versions: dict[str, DeploymentHandle] = {}

    def knows(self, version: ServedVersion) -> bool:
        """Whether the version's handle is there already."""
        return version.app_name in self._versions

    def warm(self, version: ServedVersion) -> DeploymentHandle:
        """The handle of a version's application; the first of a process takes 150 ms. Raises ModelUnavailable."""
        name = version.app_name
        if name not in self._versions:
            try:
                handle = serve.get_deployment_handle("ModelServer", app_name=name)
            except KeyError:
                raise ModelUnavailable("the version's application is gone") from None
            self._versions[name] = handle.options(_by_reference=True)
        return self._versions[name]

    async def fetch(self, request: FetchRequest, deadline_s: float) -> FetchedStudy:
        try:
            study: FetchedStudy = await call(self._reader.fetch, request, deadline_s=deadline_s)
        except LOST_REPLICA:
            raise SourceUnavailable("the study reader was lost while it fetched the study") from None
        return study

    async def predict(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float, order: QueueOrder
    ) -> Inference:
        return await self._ask(self.warm(version).predict, study, deadline_s, order)

    async def predict_when_idle(
        self, version: ServedVersion, study: FetchedStudy, deadline_s: float
    ) -> Inference:
        return await self._ask(self.warm(version).predict_when_idle, study, deadline_s)

    async def _ask(
        self, method: DeploymentHandle, study: FetchedStudy, deadline_s: float, *order: QueueOrder
    ) -> Inference:
        """Reading is idempotent: a replica that dies under it is replaced once within the deadline."""
        started = asyncio.get_running_loop().time()
        try:
            inference: Inference = await call(method, study.volume, *order, deadline_s=deadline_s)
        except LOST_REPLICA:
            left = deadline_s - (asyncio.get_running_loop().time() - started)
            inference = await self._again(method, study, left, *order)
        return inference

    async def _again(
        self, method: DeploymentHandle, study: FetchedStudy, deadline_s: float, *order: QueueOrder
    ) -> Inference:
        try:
            inference: Inference = await call(method, study.volume, *order, deadline_s=deadline_s)
        except LOST_REPLICA:
            raise ModelUnavailable("the version's replica was lost twice under this study") from None
        return inference


async def call(method: DeploymentHandle, *arguments: Any, deadline_s: float) -> Any:
    """Call and wait at most `deadline_s`; then cancel the call, which a mere timeout would leave running."""
    if deadline_s <= 0:
        raise DeadlineExceeded("no time is left for this step")
    response = method.remote(*arguments)
    try:
        async with asyncio.timeout(deadline_s):
            return await response
    except TimeoutError:
        response.cancel()
        raise DeadlineExceeded(f"no answer within {deadline_s:.0f} s") from None
    except asyncio.CancelledError:
        response.cancel()
        raise
    except BackPressureError:
        raise ModelUnavailable("too many studies wait for this step") from None
    except DeploymentUnavailableError:
        raise ModelUnavailable("this step's application is being removed or failed to start") from None
    except ObjectLostError:
        raise lost_study() from None
    except RayTaskError as error:
        raise cause_of(error) from None


def cause_of(error: RayTaskError) -> Exception:
    """Our own error as it was raised in the replica; anything else without its text, which could hold data."""
    cause: Exception = error.cause
    if isinstance(cause, SerinusError):
        return cause
    if isinstance(cause, ObjectLostError):
        return lost_study()
    if isinstance(cause, ActorDiedError | ActorUnavailableError):
        lost: Exception = cause
        return lost
    return SerinusError(f"a replica raised {type(cause).__name__}")


def lost_study() -> SourceUnavailable:
    """The volume left the object store: the job fetches it once more.

    Its holder may have died; and Ray's counting of borrowed references, which the volume is to the router and to the
    versions, can let go too early (ray-project/ray pull 63560).
    """
    return SourceUnavailable("the study left the object store before it was read")
