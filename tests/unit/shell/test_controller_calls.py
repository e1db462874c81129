"""What a replica asks of the controller: taken at once when it answers, and nobody's failure when it is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from canary.rollout.verbs import Verb, VerbKind
from core.errors import LedgerUnavailable, ReplicaDied, RolloutRefused
from serve_apps.adapters import controller_calls, serve_applications
from serve_apps.adapters.controller_calls import ControllerCalls
from serve_apps.adapters.serve_applications import running_replicas, without_replica
from serve_apps.application.routing_snapshot import RoutingSnapshot
from serve_apps.application.routing_state import RoutingState
from tests.unit.canary.rollout.builders import plan
from tests.unit.shell.builders import a_snapshot
from tests.unit.shell.inline import Here
from tests.unit.shell.test_routing_state import FakeControl

SNAPSHOT = replace(a_snapshot(), epoch=1, generation=4)
NEVER = object()
GONE = DeploymentUnavailableError(DeploymentID("RolloutController", "serinus"))


class Response:
    """Serve's answer to a call of a handle."""

    def __init__(self, answer: object) -> None:
        self._answer = answer
        self.is_cancelled = False

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> object:
        if self._answer is NEVER:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def cancel(self) -> None:
        self.is_cancelled = True


class Method:
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.calls = 0
        self.arguments: tuple[object, ...] = ()

    def remote(self, *arguments: object) -> Response:
        self.calls += 1
        self.arguments = arguments
        return Response(self.answer)


class Handle:
    """The controller's handle: every method answers the same."""

    def __init__(self, answer: object) -> None:
        self.decided = self.wake = Method(answer)
        self.start_rollout = self.tell_rollout = Method(answer)


def calls_of(answer: object) -> tuple[ControllerCalls, RoutingState, Handle]:
    routing, handle = RoutingState(FakeControl(), executor=Here()), Handle(answer)
    return ControllerCalls(handle, routing), routing, handle


async def test_what_came_of_a_decision_is_in_force_here_at_once() -> None:
    calls, routing, _ = calls_of(SNAPSHOT)
    await calls.announce()
    assert routing.snapshot == SNAPSHOT


async def test_a_controller_that_has_published_nothing_takes_nothing_away() -> None:
    calls, routing, _ = calls_of(RoutingSnapshot())
    await routing.take(SNAPSHOT)
    await calls.announce()
    assert routing.snapshot == SNAPSHOT


@pytest.mark.parametrize(
    "answer",
    [
        LedgerUnavailable("the database does not answer"),
        DeploymentUnavailableError(DeploymentID("RolloutController", "serinus")),
        NEVER,
    ],
)
async def test_a_controller_that_is_away_is_nobodys_failure(
    monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """The decision is in the ledger; it takes effect at the controller's next look."""
    monkeypatch.setattr(controller_calls, "DEADLINE_S", 0.01)
    calls, routing, handle = calls_of(answer)
    await calls.announce()
    await calls.wake()
    assert (handle.wake.calls, routing.snapshot.is_empty) == (2, True)


async def test_what_a_person_says_to_a_rollout_reaches_the_controller_and_its_refusal_comes_back() -> None:
    calls, _, handle = calls_of(True)
    assert await calls.start_rollout(plan(), "ris/ada") is True
    assert handle.start_rollout.arguments == (plan(), "ris/ada")
    said = Verb(kind=VerbKind.PAUSE, actor="ris/ada")
    await calls.tell_rollout("ich", said)
    assert handle.tell_rollout.arguments == ("ich", said)
    for refusal in (RolloutRefused("pause is not for a rollout that is Failed"), ReplicaDied("it is gone")):
        calls, _, _ = calls_of(refusal)
        with pytest.raises(type(refusal)):
            await calls.tell_rollout("ich", said)


async def test_serve_away_says_nothing_of_any_application(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> dict[str, int]:
        raise RuntimeError("Serve is not running")

    monkeypatch.setattr(serve_applications, "_running_replicas", away)
    assert await without_replica(["mv-ich-1"]) == ()
    assert await running_replicas() == {}


class Application:
    def __init__(self, **replicas: int) -> None:
        self.deployments = {"ModelServer": self}
        self.replica_states = replicas


async def test_an_application_that_starts_or_is_not_there_has_no_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Status:
        def __init__(self) -> None:
            self.applications = {"mv-ich-1": Application(RUNNING=1), "mv-ich-2": Application(STARTING=1)}

    monkeypatch.setattr(serve_applications.serve, "status", Status)
    assert await without_replica(["mv-ich-1", "mv-ich-2", "mv-ich-3"]) == {"mv-ich-2", "mv-ich-3"}
    assert await running_replicas() == {"mv-ich-1": 1, "mv-ich-2": 0}
