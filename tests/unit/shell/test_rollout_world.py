"""The world that a rollout sees is what the real reconciler observed, and what the ledger grants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from canary.verdict import Verdict
from core.errors import UnknownModel
from ledger import ModelRouting
from registry.client import RegisteredModel, RegistryClient
from serve_apps.control.rollout_world import Drains, Sighting, Site, hand_revision, world_of
from serve_apps.control.watch import PlaneSeen
from tests.unit.shell.control_fakes import MODEL
from tests.unit.shell.controller_site import ControllerSite

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def sighted(site: ControllerSite) -> Sighting:
    await site.settled_canary()
    found = site.reconciler.sighting
    assert found is not None
    return found


async def test_a_canary_in_force_is_seen_as_the_ledger_grants_it() -> None:
    site = ControllerSite()
    assert site.reconciler.sighting is None
    sighting = await sighted(site)
    world = world_of(MODEL, "2", sighting, site.routing.decided[MODEL], Site())
    assert (world.champion, world.challenger, world.answering) == ("1", "2", "1")
    assert (world.weight_bp, world.mirror_bp, world.registry_answers) == (5_000, 10_000, True)
    assert (world.shadow_ready, world.may_answer, world.data_plane) == (True, True, Verdict.INCONCLUSIVE)
    unknown = world_of(MODEL, "9", sighting, ModelRouting(MODEL), Site(is_frozen=True))
    assert (unknown.may_answer, unknown.shadow_ready, unknown.weight_bp) == (False, False, 0)
    assert (unknown.is_frozen, unknown.gate_reason) == (True, "version 9 is not admitted here")


async def test_readings_count_only_under_the_table_that_grants_the_weight() -> None:
    site = ControllerSite()
    sighting = await sighted(site)
    in_force, routing = sighting.tables[MODEL], site.routing.decided[MODEL]
    current = PlaneSeen(in_force.epoch, in_force.table.generation, Verdict.SUCCESSFUL)
    older = replace(current, generation=current.generation - 1)
    raised = replace(routing, weight_bp=6_000)
    planes = [(current, routing), (older, routing), (current, raised)]
    assert [
        world_of(MODEL, "2", sighting, decided, Site(planes={MODEL: plane})).data_plane
        for plane, decided in planes
    ] == [Verdict.SUCCESSFUL, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]


async def test_a_registry_that_is_away_leaves_the_aliases_as_they_were_last() -> None:
    site = ControllerSite()
    await sighted(site)
    site.mlflow.away = True
    await site.tick(2)
    found = site.reconciler.sighting
    assert found is not None
    world = world_of(MODEL, "2", found, site.routing.decided[MODEL], Site())
    assert (world.registry_answers, world.champion, world.challenger) == (False, "1", "2")


async def test_a_controller_that_stood_down_sees_nothing() -> None:
    site = ControllerSite()
    await sighted(site)
    site.publisher.is_leader = False
    assert site.reconciler.sighting is None


def test_only_what_a_person_decided_is_a_decision_by_hand() -> None:
    by_hand = ModelRouting("ich", "2", 500, {"2": "s"}, weight_by="ris/ada", weight_number=3)
    assert hand_revision(by_hand) == 3
    assert hand_revision(replace(by_hand, weight_by="")) == 3, "an earlier release did not write who"
    assert hand_revision(replace(by_hand, weight_by="rollout")) is None
    assert hand_revision(ModelRouting("ich")) is None


def test_the_former_champion_is_drained_once_the_new_one_answered_long_enough() -> None:
    drains = Drains(timedelta(seconds=60))
    seen = [drains.is_drained("ich", version, NOON + timedelta(seconds=at)) for version, at in DRAINING]
    assert seen == [False, False, True, False, False, True, False]
    assert not drains.is_drained("ich", None, NOON + timedelta(hours=1))


DRAINING = [("1", 0), ("1", 59), ("1", 60), ("2", 61), ("2", 120), ("2", 121), ("2", 3)]


class Aliases(RegistryClient):
    """MLflow's client with one model in memory."""

    def __init__(self, **names: str) -> None:
        self.names = names
        self.sent: list[tuple[str, str]] = []

    def model(self, name: str) -> RegisteredModel:
        if name != "ich":
            raise UnknownModel("no such model")
        return RegisteredModel(name, dict(self.names))

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.sent.append((alias, version))


@pytest.mark.parametrize(
    ("alias", "expected", "moved", "sent"),
    [
        ("champion", "1", True, [("champion", "2")]),
        ("champion", "3", False, []),
        ("challenger", "1", True, []),
        ("champion-previous", None, True, [("champion-previous", "2")]),
        ("champion", None, False, []),
    ],
)
def test_an_alias_moves_only_from_where_it_was_expected(
    alias: str, expected: str | None, moved: bool, sent: list[tuple[str, str]]
) -> None:
    client = Aliases(champion="1", challenger="2")
    assert client.move_alias("ich", alias, expected, "2") is moved
    assert client.sent == sent
