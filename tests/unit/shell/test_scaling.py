"""What waits for a model becomes replicas of its versions, by what each of them reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.replicas import Capacity, DueStudies
from canary.routing_table import CHAMPION, ABTest, Arm, Canary, RoutingTable, Slot, Variant
from core.codec import from_json, to_json
from core.priority import Priority
from serve_apps.api.system import variant_out
from serve_apps.application.metrics import gauges_of
from serve_apps.application.overview import QueueState
from serve_apps.application.routing_snapshot import RoutingSnapshot, VariantState, VariantStatus
from serve_apps.control.observe import AppState, AppStatus
from serve_apps.control.queue_watch import QueueSight
from serve_apps.control.scaling import live_shares, waiting_for
from serve_apps.resources import Resources
from tests.unit.shell.control_fakes import MODEL, NOON
from tests.unit.shell.controller_site import ControllerSite

APP_1, APP_2, APP_3 = (f"mv-{MODEL}-{number}" for number in "123")
MONDAY_NIGHT = datetime(2026, 11, 30, 5, tzinfo=UTC)
BIG = Capacity(8.0)


@pytest.fixture
def site() -> ControllerSite:
    return ControllerSite()


def waits(site: ControllerSite, studies: int, model: str = MODEL, study_s: float = 2.0) -> None:
    """So many routine studies came just now; those of version 1 take so long."""
    due = site.now() + timedelta(seconds=600)
    waiting = (DueStudies(model, Priority.ROUTINE, due, studies),) if studies else ()
    site.sight = QueueSight(site.now(), waiting, {(MODEL, "1"): study_s}, {}, BIG)


def numbers(site: ControllerSite) -> dict[str, int]:
    """What Serve was told last, by application."""
    return {
        spec.version.app_name: spec.options.get("num_replicas", 0)
        for spec in site.serve.runs
        if spec.version.app_name not in site.serve.deleted
    }


def variant(version: str, name: str = CHAMPION) -> Variant:
    return Variant(name, version, "d", f"mv-{MODEL}-{version}")


# ---- who reads which share


def test_shares_are_those_of_the_routing_table() -> None:
    champion = variant("1")
    canary = Canary(variant("2", "canary"), 2_000, "s", Slot("rollouts", "s", 0, 5_000))
    assert live_shares(RoutingTable(1, MODEL, champion)) == {"1": 1.0}
    assert live_shares(RoutingTable(1, MODEL, champion, canary=canary)) == {"2": 0.1, "1": 0.9}
    arms = (Arm(variant("2", "arm-a"), 6_000), Arm(variant("1", "arm-b"), 4_000))
    test = RoutingTable(1, MODEL, champion, ab_test=ABTest(arms, "s", coverage_bp=5_000))
    assert live_shares(test) == pytest.approx({"2": 0.3, "1": 0.7})


def test_while_routing_is_frozen_the_champion_reads_all() -> None:
    canary = Canary(variant("2", "canary"), 5_000, "s")
    assert live_shares(RoutingTable(1, MODEL, variant("1"), canary=canary, frozen=True)) == {"1": 1.0}


@given(st.integers(0, 10_000))
def test_shares_sum_to_all_studies(weight_bp: int) -> None:
    canary = Canary(variant("2", "canary"), weight_bp, "s")
    assert sum(live_shares(RoutingTable(1, MODEL, variant("1"), canary=canary)).values()) == pytest.approx(1)


def test_studies_that_name_no_model_count_for_those_that_read_such_of_late() -> None:
    waiting = (DueStudies("a", Priority.STAT, NOON, 3), DueStudies("", Priority.STAT, NOON, 8))
    known = QueueSight(NOON, waiting, {}, {"a": 0.75, "b": 0.25})
    assert [one.studies for one in waiting_for("a", known)] == [3, 6.0]
    assert [one.studies for one in waiting_for("b", known)] == [2.0]
    assert [one.studies for one in waiting_for("c", known)] == []
    assert [one.studies for one in waiting_for("c", QueueSight(NOON, waiting))] == [8.0], (
        "nothing was read yet"
    )


# ---- the controller


async def test_replicas_follow_what_waits_and_restart_nothing(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    await site.settle()
    assert numbers(site) == {APP_1: 1}
    waits(site, 700)
    held = await site.tick(2)
    assert numbers(site) == {APP_1: 3}
    assert len({spec.code for spec in site.serve.runs}) == 1
    (status,) = held.variants
    assert status.replicas_wanted == 3
    assert status.replicas == "3 of 1–4: for routine studies that wait, or did within 300 s; 1 now"
    waits(site, 0)
    site.serve.apps[APP_1] = AppStatus(AppState.RUNNING, replicas=3)
    await site.tick(100)
    assert numbers(site) == {APP_1: 3}, "not before 300 s have passed"
    await site.tick(210)
    assert numbers(site) == {APP_1: 1}
    assert len(site.serve.runs) == 3, "each number was told once"


async def test_a_canary_has_replicas_for_its_share(site: ControllerSite) -> None:
    await site.settled_canary(weight_bp=2_500)
    waits(site, 1000)
    await site.tick(2)
    assert numbers(site) == {APP_1: 3, APP_2: 1}


async def test_more_than_the_cluster_bears_is_said_and_not_run(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    await site.settle()
    waits(site, 100_000)
    held = await site.tick(2)
    assert numbers(site) == {APP_1: 4}
    assert "routine studies ask for more" in (held.variants[0].replicas or "")


async def test_on_two_cores_a_version_keeps_its_one_replica(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    await site.settle()
    waits(site, 100_000)
    assert site.sight is not None
    site.sight = QueueSight(site.sight.at, site.sight.waiting, capacity=Capacity(2.0))
    await site.tick(3)
    assert numbers(site) == {APP_1: 1}


async def test_hours_begin_and_end_by_the_clock_of_the_site() -> None:
    site = ControllerSite(time_zone="Europe/Berlin")
    site.clock.now = MONDAY_NIGHT.timestamp()
    site.mlflow.register("1", "champion", **{"serinus.resources.schedule": "mon-fri 07:00-19:00 3"})
    await site.settle()
    waits(site, 0)
    await site.tick(2)
    assert numbers(site) == {APP_1: 1}, "it is 06:00 in Berlin"
    site.clock.now = MONDAY_NIGHT.timestamp() + 3600
    held = await site.tick(2)
    assert numbers(site) == {APP_1: 3}
    assert held.variants[0].replicas == "3 of 3–4: hours mon-fri 07:00-19:00 3; 1 now"
    site.clock.now = MONDAY_NIGHT.timestamp() + 13 * 3600
    await site.tick(2)
    assert numbers(site) == {APP_1: 1}


async def test_hours_of_a_model_in_the_sites_settings_hold_for_versions_that_name_none() -> None:
    site = ControllerSite(schedules={MODEL: "mon-sun 00:00-24:00 3"})
    site.mlflow.register("1", "champion")
    site.mlflow.register("2", "challenger", **{"serinus.resources.schedule": "mon-sun 00:00-24:00 2"})
    await site.settle()
    assert numbers(site) == {APP_1: 3, APP_2: 2}


async def test_a_shadow_sleeps_outside_its_hours_and_a_champion_never(site: ControllerSite) -> None:
    site.clock.now = MONDAY_NIGHT.timestamp()
    tags = {"serinus.resources.min_replicas": "0", "serinus.resources.schedule": "mon-fri 07:00-19:00 1"}
    site.mlflow.register("1", "champion", **tags)
    site.mlflow.register("3", "shadow-x", **tags)
    await site.settle()
    assert numbers(site) == {APP_1: 1, APP_3: 0}
    site.clock.now = MONDAY_NIGHT.timestamp() + 3 * 3600
    waits(site, 0)
    held = await site.tick(2)
    assert numbers(site) == {APP_1: 1, APP_3: 1}
    assert {one.version: one.replicas for one in held.variants} == {
        "1": "1 of 1–4",
        "3": "1 of 1–4: hours mon-fri 07:00-19:00 1",
    }


async def test_a_schedule_that_cannot_be_followed_leaves_what_runs_and_says_why(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    await site.settle()
    site.mlflow.tags[MODEL, "1"]["serinus.resources.schedule"] = "weekdays 3"
    site.reconciler.registry_changed()
    held = await site.tick(4)
    assert numbers(site) == {APP_1: 1}
    assert "the tag serinus.resources.schedule cannot be followed" in (held.variants[0].reason or "")


async def test_a_kill_takes_no_replica_away(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    await site.settle()
    waits(site, 700)
    await site.tick(2)
    site.sight = None
    site.kill()
    await site.tick(5)
    assert numbers(site) == {APP_1: 3}, "before it has looked at the queue"
    waits(site, 0)
    await site.tick(5)
    assert numbers(site) == {APP_1: 3}, "and as long after as any that are not needed"
    await site.tick(310)
    assert numbers(site) == {APP_1: 1}


async def test_what_is_wanted_is_a_gauge_of_each_version_that_can_be_called(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    site.mlflow.register("3", "shadow-x", **{"serinus.resources.min_replicas": "0"})
    await site.settle()
    waits(site, 700)
    held = await site.tick(2)
    told = {
        one.instrument.name: one.values for one in gauges_of(QueueState({}, {}, None, ()), held, (), alarms=0)
    }
    assert told["serinus_replicas_wanted"] == {(MODEL, "1"): 3, (MODEL, "3"): 0}


async def test_a_snapshot_of_before_is_still_read(site: ControllerSite) -> None:
    """A controller begins with what the last one left, of an older release too."""
    site.mlflow.register("1", "champion")
    held = await site.settle()
    document = json.loads(to_json(RoutingSnapshot, held))
    for variant_told in document["variants"]:
        del variant_told["replicas"], variant_told["replicas_wanted"]
    for endpoint in document["endpoints"].values():
        endpoint["resources"]["max_replicas"] = 1
        del endpoint["resources"]["schedule"]
    before = from_json(RoutingSnapshot, json.dumps(document))
    assert [one.replicas_wanted for one in before.variants] == [None]
    assert before.endpoints[APP_1].resources == Resources(max_replicas=1)


def test_a_caller_reads_how_many_replicas_there_are_to_be_and_why() -> None:
    told = VariantStatus(MODEL, "1", CHAMPION, VariantState.WARM, replicas="3 of 1–4", replicas_wanted=3)
    document = variant_out(told).model_dump()
    assert (document["replicas"], document["replicas_wanted"]) == ("3 of 1–4", 3)
