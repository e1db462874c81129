"""The loop of the rollouts: it looks while its controller leads, and brings into force what was changed."""

from __future__ import annotations

from typing import Any

import pytest

from canary.rollout.plan import RolloutPlan
from canary.rollout.verbs import Verb, VerbKind
from core.errors import LeadershipLost, LedgerUnavailable, NotReady
from serve_apps.control.observe import Observation
from serve_apps.control.rollout_acts import Touched
from serve_apps.control.rollout_loop import Controller, RolloutLoop
from serve_apps.control.rollout_world import Sighting
from serve_apps.control.state import ControllerState
from tests.unit.canary.rollout.builders import plan
from tests.unit.shell.inline import Here

SIGHTING = Sighting(Observation({}), ControllerState())
PAUSE = Verb(kind=VerbKind.PAUSE, actor="ris/ada")


class FakeLooks:
    """Changes what a test says, or raises."""

    def __init__(self) -> None:
        self.touched: frozenset[Touched] = frozenset()
        self.error: Exception | None = None
        self.calls: list[str] = []

    def look(self, sighting: Sighting) -> frozenset[Touched]:
        return self._called("look")

    def start(self, plan: RolloutPlan, sighting: Sighting, *, actor: str) -> bool:
        self._called(f"start by {actor}")
        return True

    def say(self, model: str, verb: Verb, sighting: Sighting) -> frozenset[Touched]:
        return self._called(f"{verb.kind} {model}")

    def _called(self, call: str) -> frozenset[Touched]:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return self.touched


class Around:
    """The controller around the loop."""

    def __init__(self) -> None:
        self.looks = FakeLooks()
        self.sighting: Sighting | None = SIGHTING
        self.leads = True
        self.heard: list[str] = []
        controller = Controller(
            lambda: self.sighting, lambda: self.leads, self._decided, lambda: self.heard.append("registry")
        )
        self.loop = RolloutLoop(self.looks, controller, Here())

    async def _decided(self) -> Any:
        self.heard.append("decided")


async def test_what_was_changed_is_brought_into_force() -> None:
    around = Around()
    await around.loop.once()
    assert (around.looks.calls, around.heard) == (["look"], [])
    around.looks.touched = frozenset(Touched)
    await around.loop.once()
    assert around.heard == ["registry", "decided"]


async def test_a_controller_that_does_not_lead_looks_at_nothing_and_hears_nobody() -> None:
    around = Around()
    around.leads = False
    await around.loop.once()
    with pytest.raises(LeadershipLost):
        await around.loop.say("chest-ct", PAUSE)
    around.sighting = None
    await around.loop.once()
    with pytest.raises(NotReady):
        await around.loop.start(plan(), "ris/ada")
    assert around.looks.calls == []


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), ZeroDivisionError()])
async def test_a_look_that_fails_does_not_end_the_loop(error: Exception) -> None:
    around = Around()
    around.looks.error = error
    await around.loop.once()
    around.looks.error = None
    await around.loop.once()
    assert around.looks.calls == ["look", "look"]


async def test_what_a_person_says_is_done_and_told_apart_from_a_look() -> None:
    around = Around()
    around.looks.touched = frozenset({Touched.ROUTING})
    await around.loop.say("chest-ct", PAUSE)
    assert await around.loop.start(plan(), "ris/ada")
    assert (around.looks.calls, around.heard) == (["pause chest-ct", "start by ris/ada"], ["decided"])
    around.looks.error = LedgerUnavailable("away")
    with pytest.raises(LedgerUnavailable):
        await around.loop.say("chest-ct", PAUSE)
