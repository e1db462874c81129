"""A message goes to every replica at once, and the answer says who confirmed it within the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace

from serve_apps.adapters.broadcast import Broadcast
from serve_apps.application.routing_snapshot import FreezeNotice, SnapshotVersion
from serve_apps.application.routing_state import Confirmation
from tests.unit.shell.builders import a_snapshot

NEVER = object()
FREEZE = FreezeNotice(True)


class Cluster:
    """Deployments by name, with what each replica answers: a value, an error, or NEVER. No replicas: Serve raises."""

    def __init__(self, replicas: Mapping[str, Sequence[object]]) -> None:
        self._replicas = replicas
        self.sent: list[tuple[str, str]] = []

    async def send_to_all(self, deployment: str, method: str, message: object) -> Sequence[Awaitable[object]]:
        self.sent.append((deployment, method))
        if not self._replicas[deployment]:
            raise RuntimeError("the deployment is unavailable")
        return [self._reply(answer) for answer in self._replicas[deployment]]

    async def _reply(self, answer: object) -> object:
        if answer is NEVER:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


def broadcast_to(replicas: Mapping[str, Sequence[object]]) -> Broadcast:
    return Broadcast(tuple(replicas), 0.02, Cluster(replicas).send_to_all)


async def test_a_freeze_tells_who_obeys_and_waits_for_nobody_who_hangs() -> None:
    broadcast = broadcast_to(
        {"Ingress": [FREEZE], "JobWorker": [FREEZE, NEVER, RuntimeError("gone")], "ShadowWorker": []}
    )
    assert await broadcast.freeze(FREEZE) == (
        Confirmation("Ingress", 1, 1),
        Confirmation("JobWorker", 1, 3),
        Confirmation("ShadowWorker", 0, 0),
    )


async def test_a_replica_that_holds_a_newer_snapshot_confirms_and_tells_which() -> None:
    snapshot = replace(a_snapshot(), epoch=2, generation=5)
    older, newer = SnapshotVersion(2, 4), SnapshotVersion(3, 1)
    (confirmation,) = await broadcast_to({"JobWorker": [older, snapshot.version, newer]}).publish(snapshot)
    assert confirmation == Confirmation("JobWorker", 2, 3, newest=newer)


async def test_every_deployment_is_asked_at_the_same_time() -> None:
    cluster = Cluster({"Ingress": [NEVER], "JobWorker": [FREEZE]})
    started = asyncio.get_running_loop().time()
    await Broadcast(("Ingress", "JobWorker"), 0.02, cluster.send_to_all).freeze(FREEZE)
    assert {name for name, _ in cluster.sent} == {"Ingress", "JobWorker"}
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_what_a_routers_replicas_have_to_say_is_told_by_deployment() -> None:
    broadcast = broadcast_to(
        {"Ingress": ["", ""], "JobWorker": ["it is older", "", NEVER, "it is older"], "ShadowWorker": []}
    )
    assert await broadcast.alarms() == {"JobWorker": "it is older"}
