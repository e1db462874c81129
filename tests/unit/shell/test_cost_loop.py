"""A look at the replicas that live becomes what is paid for them, told by the controller that leads and no other."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.errors import LedgerUnavailable
from observability.cost.events import CostEvent, Holding, PaidTime, Phase
from observability.cost.items import Item
from serve_apps.control.cost_loop import CostLoop, CostWorld, living_replicas
from serve_apps.resources import Resources
from tests.unit.shell.builders import a_version

SECOND = 10**9
VERSION = replace(a_version(), resources=Resources(num_cpus=0.5, num_gpus=0.25, memory_bytes=3 << 30))
APP = VERSION.app_name
NAME = f"session_1/SERVE_REPLICA::{APP}#ModelServer#ab12"


class World:
    """A cluster as a test sets it."""

    def __init__(self) -> None:
        self.names: list[str] = [NAME, "session_1/SERVE_REPLICA::serinus#Ingress#x", "session_1/other"]
        self.warm, self.leads, self.is_away = True, True, False
        self.at_s = 1000
        self.least: int | None = 1
        self.posted, self.flushes = 0, 0
        self.noted: list[CostEvent] = []

    def note(self, events: Iterable[CostEvent]) -> None:
        self.noted += events

    async def flush(self) -> int:
        self.flushes += 1
        return 0

    def living(self) -> list[str]:
        if self.is_away:
            raise LedgerUnavailable("away")
        return self.names

    def post(self) -> int:
        self.posted += 1
        return 0

    def loop(self, executor: ThreadPoolExecutor) -> CostLoop:
        world = CostWorld(
            living=self.living,
            versions=lambda: {APP: VERSION},
            is_warm=lambda app: self.warm,
            has_gpu=lambda: True,
            leads=lambda: self.leads,
            post=self.post,
            clock_ns=lambda: self.at_s * SECOND,
            site="north",
            least=lambda app: self.least,
        )
        return CostLoop(world, self, executor)


@pytest.fixture
def world() -> World:
    return World()


async def looked(world: World, loop: CostLoop, at_s: int) -> list[tuple[int, int, Phase]]:
    world.at_s, world.noted = at_s, []
    await loop.once()
    paid = [event for event in world.noted if isinstance(event, PaidTime)]
    return [(one.start_ns // SECOND, one.end_ns // SECOND, one.phase) for one in paid]


async def test_a_replica_loads_until_it_has_answered_and_drains_until_it_is_gone(world: World) -> None:
    with ThreadPoolExecutor(1) as threads:
        loop = world.loop(threads)
        world.warm = False
        assert await looked(world, loop, 1000) == []
        world.warm = True
        assert await looked(world, loop, 1005) == [(1000, 1005, Phase.LOAD)]
        assert await looked(world, loop, 1065) == [(1005, 1065, Phase.SERVE)]
        (event,) = world.noted
        world.names = []
        assert await looked(world, loop, 1070) == [(1065, 1070, Phase.DRAIN)]
    assert isinstance(event, PaidTime)
    assert (event.resource, event.model, event.version, event.site) == (
        NAME,
        VERSION.model,
        VERSION.version,
        "north",
    )
    assert (world.flushes, world.posted) == (4, 4)


async def test_who_does_not_lead_tells_nothing_and_begins_anew(world: World) -> None:
    with ThreadPoolExecutor(1) as threads:
        loop = world.loop(threads)
        await looked(world, loop, 1000)
        world.leads = False
        assert await looked(world, loop, 1100) == []
        world.leads = True
        assert await looked(world, loop, 1200) == []
        assert await looked(world, loop, 1260) == [(1200, 1260, Phase.SERVE)]
    assert world.posted == 3


async def test_a_look_that_fails_is_made_up_for_by_the_next(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as threads, caplog.at_level(logging.WARNING, "serinus.costs"):
        loop = world.loop(threads)
        await looked(world, loop, 1000)
        world.is_away = True
        assert await looked(world, loop, 1060) == []
        world.is_away = False
        assert await looked(world, loop, 1065) == [(1000, 1065, Phase.SERVE)]
    assert [record.message for record in caplog.records] == ["costs.not_looked"]


@pytest.mark.parametrize(
    ("has_gpu", "items"),
    [
        (True, {Item.CPU_CORE: 500, Item.GPU: 250, Item.RAM_GIB: 3072}),
        (False, {Item.CPU_CORE: 500, Item.RAM_GIB: 3072}),
    ],
)
def test_what_a_replica_reserves_is_what_it_holds(has_gpu: bool, items: dict[Item, int]) -> None:
    found = living_replicas([NAME, "x"], {APP: VERSION}, lambda _: True, has_gpu=has_gpu, site="")
    assert {one.item: one.amount for one in found[NAME].holds} == items
    assert all(isinstance(one, Holding) for one in found[NAME].holds)
    assert found.keys() == {NAME}


def named(number: int) -> str:
    return f"session_1/SERVE_REPLICA::{APP}#ModelServer#{number:04d}"


async def paid(
    world: World, loop: CostLoop, at_s: int, replicas: Iterable[int], least: int | None
) -> set[str]:
    """The replicas that were told to be there for the work alone, up to this look."""
    world.names, world.least = [named(number) for number in replicas], least
    await looked(world, loop, at_s)
    return {one.resource for one in world.noted if isinstance(one, PaidTime) and one.is_elastic}


async def test_replicas_above_the_least_number_are_there_for_the_work_alone(world: World) -> None:
    """What they cost idle is marginal: without the work nobody would have paid it."""
    with ThreadPoolExecutor(1) as threads:
        loop = world.loop(threads)
        await paid(world, loop, 1000, [7], least=1)
        await paid(world, loop, 1060, [3, 7, 9], least=1)
        assert await paid(world, loop, 1120, [3, 7, 9], least=1) == {named(3), named(9)}, "the first stays"
        assert await paid(world, loop, 1180, [3, 7, 9], least=3) == {named(3), named(9)}, "until hours began"
        assert await paid(world, loop, 1240, [3, 7, 9], least=3) == set()


async def test_a_replica_that_is_taken_away_is_paid_for_no_longer(world: World) -> None:
    with ThreadPoolExecutor(1) as threads:
        loop = world.loop(threads)
        await paid(world, loop, 1000, [1, 2], least=1)
        assert await paid(world, loop, 1030, [1], least=1) == {named(2)}
        (gone,) = (one for one in world.noted if isinstance(one, PaidTime))
        assert (gone.resource, gone.end_ns, gone.phase) == (named(2), 1030 * SECOND, Phase.DRAIN)
        await paid(world, loop, 1090, [1], least=1)
        assert {one.resource for one in world.noted if isinstance(one, PaidTime)} == {named(1)}


async def test_a_version_whose_bounds_are_not_known_yet_has_those_of_its_tags(world: World) -> None:
    with ThreadPoolExecutor(1) as threads:
        loop = world.loop(threads)
        await paid(world, loop, 1000, [1, 2], least=None)
        assert await paid(world, loop, 1060, [1, 2], least=None) == {named(2)}
