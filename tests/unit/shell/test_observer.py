"""What an observation sees, and what it costs: calls to MLflow and Serve are counted."""

from __future__ import annotations

import asyncio

import pytest

from canary.observation import ReconcilerState
from registry.client import ModelVersion
from serve_apps.control.admission import AdmissionController, Admitted
from serve_apps.control.apply import Applications, ReadinessProbes
from serve_apps.control.observe import (
    RESTING_INTERVAL_S,
    TAGS_INTERVAL_S,
    UNCHANGED_INTERVAL_S,
    ApplicationPhases,
    AppState,
    AppStatus,
    Observation,
    Observer,
)
from serve_apps.control.state import ControllerState
from serve_apps.settings import Settings
from tests.unit.shell.control_fakes import MODEL, Clock, FakeMlflow, FakeServe
from tests.unit.shell.inline import Here


async def answers(app_name: str) -> bool:
    return True


class World:
    def __init__(self) -> None:
        self.mlflow, self.serve, self.clock = FakeMlflow(), FakeServe(), Clock()
        probes = ReadinessProbes(lambda: None, answers)
        apps = Applications(Settings(), self.serve, probes, self.clock, Here())
        admission = AdmissionController(self.mlflow, self.clock, executor=Here())
        phases = ApplicationPhases(apps, self.clock)
        self.mark: object = None
        self.observer = Observer(
            self.mlflow, admission, phases, 0.5, self.clock, Here(), registry_mark=lambda: self.mark
        )
        self.state = ControllerState()

    async def look(self, passed_s: float = 0.0) -> Observation:
        self.clock.now += passed_s
        seen = await self.observer.observe(self.state)
        for _ in range(5):
            await asyncio.sleep(0)
        return seen


@pytest.fixture
def world() -> World:
    return World()


async def test_versions_that_an_alias_of_ours_names_or_the_state_remembers_are_looked_at(
    world: World,
) -> None:
    world.mlflow.register("1", "champion")
    world.mlflow.register("2", "best")
    world.mlflow.register("3")
    world.state = ControllerState({MODEL: ReconcilerState(versions={"3": None})})  # type: ignore[dict-item]
    first = await world.look()
    assert first.pending == {(MODEL, "1"), (MODEL, "3")}
    assert set((await world.look()).admitted) == {(MODEL, "1"), (MODEL, "3")}


async def test_mlflow_away_is_no_registry_and_no_refusal(world: World) -> None:
    world.mlflow.register("1", "champion")
    await world.look()
    world.mlflow.away = True
    seen = await world.look(1.0)
    assert (seen.registry, set(seen.refused)) == (None, set())


async def test_fifty_versions_cost_no_more_calls_than_one(world: World) -> None:
    """An idle minute of a registry elsewhere: one call for the aliases each half second, and one for the tags."""
    for number in range(50):
        world.mlflow.register(str(number), f"shadow-{number}")
    for number in range(50):
        world.serve.apps[f"mv-{MODEL}-{number}"] = AppStatus(AppState.RUNNING, replicas=1)
    for _ in range(3):
        await world.look(0.5)
    world.mlflow.calls.clear()
    world.serve.looks = 0
    for _ in range(110):
        await world.look(0.5)
    assert world.mlflow.calls.count("models") == 110
    assert world.mlflow.calls.count("versions") <= 110
    assert world.mlflow.calls.count("fetch") == 0
    assert world.serve.glances <= 110 * 0.5 / 2.0 + 3, "Serve is asked for news every other second"
    assert world.serve.looks <= 110 * 0.5 / RESTING_INTERVAL_S + 1, "and for everything when there is some"


async def test_an_mlflow_that_was_not_written_to_is_asked_seldom(world: World) -> None:
    world.mark = 1
    world.mlflow.register("1", "champion")
    await world.look()
    for _ in range(9):
        await world.look(0.5)
    assert world.mlflow.calls.count("models") == 1
    world.mlflow.alias("challenger", "2")
    world.mark = 2
    seen = await world.look(0.5)
    assert world.mlflow.calls.count("models") == 2
    assert seen.last_registry[MODEL].aliases["challenger"] == "2"
    world.mlflow.away = True
    assert (await world.look(UNCHANGED_INTERVAL_S)).registry is None, "one that is away writes nothing"
    world.mlflow.away = False
    assert (await world.look(0.5)).registry is not None, "one that was away is asked at every poll"


async def test_an_idle_minute_of_an_embedded_mlflow_costs_a_few_calls(world: World) -> None:
    world.mark = 1
    for number in range(50):
        world.mlflow.register("1", "champion", model=f"model-{number}")
    for _ in range(3):
        await world.look(0.5)
    world.mlflow.calls.clear()
    for _ in range(110):
        await world.look(0.5)
    assert world.mlflow.calls.count("models") <= 55.0 / UNCHANGED_INTERVAL_S + 1
    assert set(world.mlflow.calls) == {"models"}


@pytest.mark.parametrize("mark", [None, 1], ids=["a registry elsewhere", "the embedded one"])
async def test_a_withdrawal_is_seen_at_the_next_poll_without_a_webhook(
    world: World, mark: int | None
) -> None:
    world.mark = mark
    for number in range(50):
        world.mlflow.register("1", "champion", model=f"model-{number}")
    for _ in range(4):
        await world.look(0.5)
    world.mlflow.calls.clear()
    world.mlflow.tags["model-7", "1"]["regulatory.status"] = "withdrawn"
    world.mark = None if mark is None else mark + 1
    await world.look(0.5)
    admitted = (await world.look(0.0)).admitted["model-7", "1"]
    assert admitted.version.tags["regulatory.status"] == "withdrawn"
    assert world.mlflow.calls == ["models", "all_versions"], "two calls, however many models there are"


async def test_an_mlflow_whose_answer_takes_long_is_asked_for_tags_less_often(world: World) -> None:
    world.mlflow.register("1", "champion")
    versions = world.mlflow.versions

    def slow(name: str) -> tuple[ModelVersion, ...]:
        world.clock.now += 0.4
        return versions(name)

    world.mlflow.versions = slow  # type: ignore[method-assign]
    await world.look()
    world.mlflow.calls.clear()
    for _ in range(20):
        await world.look(0.5)
    assert world.mlflow.calls.count("versions") == 2, "a tenth of the time at most"


async def test_a_webhook_asks_mlflow_whatever_its_mark_says(world: World) -> None:
    world.mark = 1
    await world.look()
    world.mlflow.register("1", "champion")
    world.observer.expire()
    assert MODEL in (await world.look()).last_registry


async def test_tags_are_read_when_mlflow_says_that_something_changed(world: World) -> None:
    world.mlflow.register("1", "champion")
    await world.look()
    await world.look()
    world.mlflow.tags[MODEL, "1"]["regulatory.status"] = "withdrawn"
    world.observer.expire()
    await world.look()
    admitted = (await world.look()).admitted[MODEL, "1"]
    assert isinstance(admitted, Admitted)
    assert admitted.version.tags["regulatory.status"] == "withdrawn"


async def test_tags_are_read_when_an_alias_moved_and_after_an_outage_and_slowly_else(world: World) -> None:
    world.mark = 1
    world.mlflow.register("1", "champion")
    for _ in range(3):
        await world.look(0.5)
    assert world.mlflow.calls.count("versions") == 1
    world.mlflow.alias("shadow-x", "1")
    world.observer.expire()
    await world.look(0.5)
    assert world.mlflow.calls.count("versions") == 2
    world.mlflow.away = True
    await world.look(UNCHANGED_INTERVAL_S)
    world.mlflow.away = False
    await world.look(0.5)
    assert world.mlflow.calls.count("versions") == 3
    await world.look(TAGS_INTERVAL_S)
    assert world.mlflow.calls.count("versions") == 4
