"""Sends one message to every replica of the deployments that hold a RoutingState, and says who confirmed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from ray import serve

from serve_apps.application.routing_snapshot import FreezeNotice, RoutingSnapshot, SnapshotVersion
from serve_apps.application.routing_state import Confirmation

logger = logging.getLogger("serinus.broadcast")
DEPLOYMENTS = ("Ingress", "JobWorker", "ShadowWorker")
APPLICATION = "serinus"
DEADLINE_S = 1.0

Replies = Sequence[Awaitable[object]]  # one per replica that lives now
SendToAll = Callable[[str, str, object], Awaitable[Replies]]  # deployment, method, message


class Broadcast:
    """Sends to every replica of `deployments`. One that does not confirm in time is counted, not waited for."""

    def __init__(
        self,
        deployments: Sequence[str] = DEPLOYMENTS,
        deadline_s: float = DEADLINE_S,
        send_to_all: SendToAll | None = None,
    ) -> None:
        self._deployments = tuple(deployments)
        self._deadline_s = deadline_s
        self._send_to_all = send_to_all or ServeHandles().send_to_all

    async def freeze(self, notice: FreezeNotice) -> tuple[Confirmation, ...]:
        """Whose replicas obey `notice` now. One that obeys a later decision has taken it too."""
        return await self._everywhere("push_freeze", notice, lambda answer: isinstance(answer, FreezeNotice))

    async def publish(self, snapshot: RoutingSnapshot) -> tuple[Confirmation, ...]:
        """Whose replicas hold `snapshot`, or a newer one, now."""

        def holds(answer: object) -> bool:
            return isinstance(answer, SnapshotVersion) and answer >= snapshot.version

        return await self._everywhere("push_snapshot", snapshot, holds)

    async def alarms(self) -> Mapping[str, str]:
        """What the replicas of each deployment have to say of their routing, by deployment."""
        answers = await asyncio.gather(
            *(self._ask(name, "routing_alarm", None) for name in self._deployments)
        )
        sentences = (
            (name, sorted({answer for answer in replicas if isinstance(answer, str) and answer}))
            for name, replicas in zip(self._deployments, answers, strict=True)
        )
        return {name: "; ".join(told) for name, told in sentences if told}

    async def _everywhere(
        self, method: str, message: object, confirms: Callable[[object], bool]
    ) -> tuple[Confirmation, ...]:
        answers = await asyncio.gather(*(self._ask(name, method, message) for name in self._deployments))
        return tuple(
            Confirmation(
                deployment=name,
                confirmed=sum(confirms(answer) for answer in replicas),
                replicas=len(replicas),
                newest=max((a for a in replicas if isinstance(a, SnapshotVersion)), default=None),
            )
            for name, replicas in zip(self._deployments, answers, strict=True)
        )

    async def _ask(self, deployment: str, method: str, message: object) -> Sequence[object]:
        """What each replica answered; None for one that failed or was too slow."""
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                replies = await self._send_to_all(deployment, method, message)
        except Exception as error:  # noqa: BLE001 - the deployment may be starting, or gone for the moment
            logger.info("broadcast.away", extra={"deployment": deployment, "error": type(error).__name__})
            return ()
        return await asyncio.gather(*(_answer(reply, deadline) for reply in replies))


class ServeHandles:
    """One handle per deployment; a handle finds the replicas that come later by itself."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    async def send_to_all(self, deployment: str, method: str, message: object) -> Replies:
        if deployment not in self._handles:
            self._handles[deployment] = await asyncio.to_thread(
                serve.get_deployment_handle, deployment, app_name=APPLICATION
            )
        response: Any = self._handles[deployment].broadcast(method, message)
        # Serve's own `results_async` gives no answer at all when one replica is too slow
        results: Sequence[_ReplicaResult] = await response._fetch_replica_results_async()
        return [result.get_async() for result in results]


class _ReplicaResult(Protocol):
    def get_async(self) -> Awaitable[object]: ...


async def _answer(reply: Awaitable[object], deadline: float) -> object:
    try:
        async with asyncio.timeout_at(deadline):
            return await reply
    except Exception:  # noqa: BLE001 - a replica that is gone, or too slow, has not confirmed
        return None
