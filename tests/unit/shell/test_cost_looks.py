"""A look at the replicas that live becomes what is paid for them, told by the controller that leads and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from core.errors import LedgerUnavailable
from observability.cost.events import CostEvent, Holding, PaidTime, Phase
from observability.cost.items import Item
from serve_apps.control.cost_looks import CostLooks, CostWorld, living_replicas
from serve_apps.resources import Resources
from tests.unit.shell.builders import a_version

SECOND = 10**9
VERSION = replace(a_version(), resources=Resources(num_cpus=0.5, num_gpus=0.25, memory_bytes=3 << 30))
APP = VERSION.app_name
NAME = f"session_1/SERVE_REPLICA::{APP}#ModelServer#ab12"
INGRESS = "session_1/SERVE_REPLICA::serinus#Ingress#x"
PROXY = "session_1/SERVE_PROXY_ACTOR-ab"


class World:
    """A cluster as a test sets it."""

    def __init__(self) -> None:
        self.names: list[str] = [NAME, PROXY]
        self.warm, self.leads, self.is_away = True, True, False
        self.at_s = 1000
        self.least: int | None = 1
        self.posted, self.asked = 0, 0
        self.kept: list[CostEvent] = []
        self.looks = CostLooks(
            CostWorld(
                living=lambda: self.names,
                versions=lambda: {APP: VERSION},
                is_warm=lambda app: self.warm,
                has_gpu=lambda: True,
                reserved=self.reserved,
                leads=lambda: self.leads,
                post=self.post,
                clock_ns=lambda: self.at_s * SECOND,
                site="north",
                least=lambda app: self.least,
            ),
            self,
        )

    def add(self, events: Sequence[CostEvent]) -> int:
        if self.is_away:
            raise LedgerUnavailable("away")
        self.kept += events
        return len(events)

    def reserved(self, app: str, deployment: str) -> Mapping[str, float]:
        self.asked += 1
        if deployment == "Gone":
            raise KeyError(deployment)
        return {"CPU": 0.1, "memory": float(2 << 30)} if app == "serinus" else {}

    def post(self) -> int:
        self.posted += 1
        return 0

    def looked(self, at_s: int) -> list[tuple[int, int, Phase]]:
        self.at_s, self.kept = at_s, []
        self.looks.look()
        return [(one.start_ns // SECOND, one.end_ns // SECOND, one.phase) for one in self.paid]

    @property
    def paid(self) -> list[PaidTime]:
        return [event for event in self.kept if isinstance(event, PaidTime)]


@pytest.fixture
def world() -> World:
    return World()


def test_a_replica_loads_until_it_has_answered_and_drains_until_it_is_gone(world: World) -> None:
    world.warm = False
    assert world.looked(1000) == []
    world.warm = True
    assert world.looked(1005) == [(1000, 1005, Phase.LOAD)]
    assert world.looked(1065) == [(1005, 1065, Phase.SERVE)]
    (event,) = world.paid
    world.names = []
    assert world.looked(1070) == [(1065, 1070, Phase.DRAIN)]
    told = (event.resource, event.model, event.version, event.site, event.deployment)
    assert told == (NAME, VERSION.model, VERSION.version, "north", "")
    assert world.posted == 4


def test_who_does_not_lead_tells_nothing_and_begins_anew(world: World) -> None:
    world.looked(1000)
    world.leads = False
    assert world.looked(1100) == []
    world.leads = True
    assert world.looked(1200) == []
    assert world.looked(1260) == [(1200, 1260, Phase.SERVE)]
    assert world.posted == 3


def test_what_a_look_could_not_tell_the_next_one_tells(world: World) -> None:
    world.looked(1000)
    world.is_away = True
    with pytest.raises(LedgerUnavailable):
        world.looked(1060)
    world.is_away = False
    world.names = []
    assert world.looked(1065) == [(1000, 1065, Phase.DRAIN)]


def test_a_replica_of_the_platform_is_paid_under_its_deployments_name_and_asked_for_once(
    world: World,
) -> None:
    world.names = [INGRESS, PROXY, "session_1/SERVE_REPLICA::serinus#Gone#y", "session_1/other"]
    world.looked(1000)
    assert world.looked(1060) == [(1000, 1060, Phase.SERVE)]
    (event,) = world.paid
    assert (event.resource, event.model, event.version, event.deployment) == (INGRESS, "", "", "Ingress")
    assert {one.item: one.amount for one in event.holds} == {Item.CPU_CORE: 100, Item.RAM_GIB: 2048}
    assert world.asked == 3, "the one that is gone is asked for again, the other is known"


def test_a_replica_that_reserves_nothing_is_not_paid_for(world: World) -> None:
    world.names = ["session_1/SERVE_REPLICA::elsewhere#Ingress#x"]
    world.looked(1000)
    assert world.looked(1060) == []


def test_a_version_that_is_not_known_here_is_not_billed_as_a_part_of_the_platform(world: World) -> None:
    world.names = ["session_1/SERVE_REPLICA::mv-other-7#ModelServer#x"]
    world.looked(1000)
    assert world.looked(1060) == []


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


def elastic(world: World, at_s: int, replicas: Sequence[int], least: int | None) -> set[str]:
    """The replicas that this look told to be there for the work alone."""
    world.names, world.least = [named(number) for number in replicas], least
    world.looked(at_s)
    return {one.resource for one in world.paid if one.is_elastic}


def test_replicas_above_the_least_number_are_there_for_the_work_alone(world: World) -> None:
    """What they cost idle is marginal: without the work nobody would have paid it."""
    elastic(world, 1000, [7], least=1)
    elastic(world, 1060, [3, 7, 9], least=1)
    assert elastic(world, 1120, [3, 7, 9], least=1) == {named(3), named(9)}, "the first stays"
    assert elastic(world, 1180, [3, 7, 9], least=3) == {named(3), named(9)}, "until hours began"
    assert elastic(world, 1240, [3, 7, 9], least=3) == set()


def test_a_replica_that_is_taken_away_is_paid_for_no_longer(world: World) -> None:
    elastic(world, 1000, [1, 2], least=1)
    assert elastic(world, 1030, [1], least=1) == {named(2)}
    gone = [one for one in world.paid if one.resource == named(2)]
    assert [(one.end_ns, one.phase) for one in gone] == [(1030 * SECOND, Phase.DRAIN)]
    assert elastic(world, 1090, [1], least=1) == set()
    assert {one.resource for one in world.paid} == {named(1)}


def test_a_version_whose_bounds_are_not_known_yet_has_those_of_its_tags(world: World) -> None:
    elastic(world, 1000, [1, 2], least=None)
    assert elastic(world, 1060, [1, 2], least=None) == {named(2)}
