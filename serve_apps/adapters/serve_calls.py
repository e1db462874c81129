"""A call to another deployment: with a deadline, with a cancel at its end, and with Ray's errors turned into ours.

Ray and Serve have many ways to say that a replica, a node or an object is gone. All of them are WorkerLost here, so
that work is tried again and costs no attempt; what waiting mends is a ModelUnavailable or Overloaded. An error of our
own passes as it was raised. Of anything else only the type gets out, since its text could hold patient data.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc  # type: ignore[import-untyped]
from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException

from core.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    ReplicaDied,
    SerinusError,
    StudyEvicted,
    WorkerLost,
)

CANNOT_START = (
    DeploymentUnavailableError,
    ActorUnschedulableError,
    TaskUnschedulableError,
    RuntimeEnvSetupError,
)
DIED = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError)
RAY_ERRORS = (RayError, RayServeException, grpc.RpcError)


async def call(method: Any, *arguments: Any, deadline_s: float) -> Any:
    """Call a method of a handle and wait at most `deadline_s`; then cancel it, which a mere timeout would not.

    Raises SerinusError.
    """
    if deadline_s <= 0:
        raise DeadlineExceeded("no time is left for this step")
    try:
        response = method.remote(*arguments)
    except RAY_ERRORS as error:
        raise core_error(error) from None
    try:
        async with asyncio.timeout(deadline_s) as deadline:
            return await _result(response)
    except TimeoutError:
        response.cancel()
        if deadline.expired():
            raise DeadlineExceeded(f"no answer within {deadline_s:.0f} s") from None
        raise WorkerLost("the replica could not be reached in time") from None
    except asyncio.CancelledError:
        response.cancel()
        raise
    except RAY_ERRORS as error:
        raise core_error(error) from None


async def _result(response: Any) -> Any:
    """The response's value. Serve tells of a replica's own cancellation as if this task had been cancelled."""
    try:
        return await response
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling() == 0:
            raise WorkerLost("the call was cancelled where it ran") from None
        raise


def core_error(error: BaseException) -> SerinusError:
    """What one of Ray's or Serve's exceptions means for the work."""
    if isinstance(error, RayTaskError):
        return _of_cause(error.cause)
    if isinstance(error, BackPressureError):
        return Overloaded("too many studies wait for this step")
    if isinstance(error, CANNOT_START):
        return ModelUnavailable("this step's application is being removed or cannot start")
    if isinstance(error, ObjectLostError):
        # its holder died, or Ray let go of a borrowed reference too early (ray-project/ray pull 63560)
        return StudyEvicted("the study left the object store before it was read")
    if isinstance(error, DIED):
        return ReplicaDied(f"the replica was lost: {type(error).__name__}")
    return WorkerLost(f"the replica was lost: {type(error).__name__}")


def _of_cause(cause: BaseException) -> SerinusError:
    if isinstance(cause, SerinusError):
        return cause
    if isinstance(cause, RAY_ERRORS):
        return core_error(cause)
    if isinstance(cause, asyncio.CancelledError):
        return WorkerLost("the call was cancelled where it ran")
    return SerinusError(f"a replica raised {type(cause).__name__}")
