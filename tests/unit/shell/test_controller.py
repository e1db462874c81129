"""The control loop with its real parts: kills, lost state, two controllers, and faults of one version."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from core.errors import CorruptControlState, LedgerUnavailable, ModelRefused
from registry.cache import CachedModel
from registry.signing import DIGEST_TAG
from serve_apps.application.routing_snapshot import SnapshotVersion, VariantState
from serve_apps.control.observe import AppState, AppStatus
from serve_apps.control.publish import LEADER_SILENCE
from serve_apps.control.reconcile import HOLD_S
from tests.unit.shell.control_fakes import MODEL
from tests.unit.shell.controller_site import ControllerSite, answering

APP_1, APP_2 = "mv-ich-triage-1", "mv-ich-triage-2"


@pytest.fixture
def site() -> ControllerSite:
    return ControllerSite()


async def test_an_alias_becomes_a_table(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    first = await site.tick(2)
    assert (first.not_ready, site.serve.ran) == ((MODEL,), [APP_1])
    site.serve.settle()
    held = await site.tick(2)
    assert (answering(held), held.not_ready) == ({"champion": "1"}, ())
    assert set(held.endpoints) == {APP_1}


async def test_the_first_table_after_a_kill_is_the_last_one_before_it(site: ControllerSite) -> None:
    """No 503, and no canary patient moves, though nothing is verified and nobody has answered yet."""
    before = await site.settled_canary()
    site.kill()
    site.mute = True
    after = await site.tick()
    assert after.version == SnapshotVersion(2, before.generation + 1)
    assert (after.tables, after.endpoints, after.not_ready) == (before.tables, before.endpoints, ())
    later = await site.tick(5)
    assert (later.tables, later.endpoints) == (before.tables, before.endpoints)


async def test_a_kill_runs_no_application_again(site: ControllerSite) -> None:
    await site.settled_canary()
    runs = len(site.serve.runs)
    site.kill()
    await site.tick(5)
    assert (len(site.serve.runs), site.serve.deleted) == (runs, [])


async def test_a_kill_while_mlflow_is_away_changes_nothing(site: ControllerSite) -> None:
    before = await site.settled_canary()
    site.kill()
    site.mlflow.away = True
    after = await site.tick(3)
    assert (after.tables, after.endpoints) == (before.tables, before.endpoints)
    assert after.registry == "last known good"


async def test_a_kill_wakes_no_version_that_sleeps(site: ControllerSite) -> None:
    tags = {"serinus.resources.min_replicas": "0"}
    site.mlflow.register("1", "champion")
    site.mlflow.register("3", "shadow-x", **tags)
    await site.settle()
    site.serve.apps["mv-ich-triage-3"] = AppStatus(AppState.RUNNING, replicas=0)
    await site.tick(5)
    runs = len(site.serve.runs)
    site.kill()
    held = await site.tick(5)
    states = {v.version: v.state for v in held.variants}
    assert states["3"] is VariantState.ASLEEP
    assert len(site.serve.runs) == runs


@pytest.mark.parametrize("error", [None, CorruptControlState("a byte was changed")])
async def test_a_controller_without_state_publishes_nothing_less_than_the_routers_have(
    site: ControllerSite, error: CorruptControlState | None
) -> None:
    """The versions run, and are neither verified again nor asked: the routers keep what they have."""
    before = await site.settled_canary()
    site.control.record, site.control.load_error = None, error
    site.kill()
    assert (await site.tick()).version == before.version
    after = await site.tick(4)
    assert after.version > before.version
    assert answering(after) == answering(before)
    assert ("control state" in after.alarms) is (error is not None)


async def test_without_state_and_without_mlflow_the_routers_keep_what_they_have(site: ControllerSite) -> None:
    before = await site.settled_canary()
    site.control.record = None
    site.kill()
    site.mlflow.away = True
    assert await site.tick(5) == before


async def test_a_version_that_never_answers_is_not_waited_for_without_end(
    site: ControllerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await site.settled_canary()
    site.control.record = None
    site.kill()
    site.mute = True
    assert (await site.tick(3)).version == before.version
    monkeypatch.setattr("serve_apps.control.reconcile.HOLD_S", 0.0)
    site.kill()
    assert (await site.tick(3)).version > before.version
    assert HOLD_S > 0


async def test_after_a_restart_of_all_a_champion_without_a_replica_is_not_ready(site: ControllerSite) -> None:
    before = await site.settled_canary()
    site.kill()
    site.serve.apps.clear()
    after = await site.tick()
    assert after.not_ready == (MODEL,)
    assert after.table(MODEL).champion == before.table(MODEL).champion
    assert (await site.settle()).not_ready == ()


async def test_the_ledger_away_at_the_start_is_waited_for(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    take = site.control.take_leadership

    def away(holder: str, at_least: int = 0) -> int:
        raise LedgerUnavailable("the database does not answer")

    site.control.take_leadership = away  # type: ignore[method-assign]
    with pytest.raises(LedgerUnavailable):
        await site.reconciler.tick()
    site.control.take_leadership = take  # type: ignore[method-assign]
    assert answering(await site.settle()) == {"champion": "1"}


async def test_a_controller_that_was_followed_acts_no_more(site: ControllerSite) -> None:
    await site.settled_canary()
    former = site.reconciler, site.publisher
    site.kill()
    await site.tick(2)
    site.routing.decide(version="2", weight_bp=100, salts={"2": "s"})
    await former[0].decided()
    await former[1].flush()
    site.mlflow.register("7", "shadow-x")
    runs = len(site.serve.runs)
    await former[0].tick()
    assert not former[1].is_leader
    await former[0].tick()
    assert len(site.serve.runs) <= runs + 1
    assert site.routers.held.epoch == 2


async def test_a_controller_that_was_followed_leads_again_when_the_other_is_gone(
    site: ControllerSite,
) -> None:
    await site.settled_canary()
    former, publisher = site.reconciler, site.publisher
    site.kill()
    await site.tick(2)
    site.clock.now += 10.0
    await publisher.flush()
    await former.tick()
    assert not publisher.is_leader
    site.control.silent_for = 2 * LEADER_SILENCE
    site.routing.decide(version="2", weight_bp=100, salts={"2": "s"})
    site.clock.now += 10.0
    await former.tick()
    await publisher.flush()
    assert publisher.is_leader
    held = site.routers.held
    assert (held.epoch, answering(held)) == (3, {"champion": "1", "canary": "2"})


async def test_one_bad_tag_stops_that_version_only(site: ControllerSite) -> None:
    """`num_cpus = 0.00001` on a model at the beginning of the alphabet."""
    site.mlflow.register("1", "champion", model="a-first", **{"serinus.resources.num_cpus": "0.00001"})
    site.mlflow.register("1", "champion")
    held = await site.settle()
    assert site.serve.ran == [APP_1]
    assert answering(held) == {"champion": "1"}
    bad = next(v for v in held.variants if v.model == "a-first")
    assert bad.state is VariantState.FAILED
    assert "serinus.resources.num_cpus is less than 0.0001" in (bad.reason or "")
    assert "rollout.state" in site.mlflow.tags[MODEL, "1"], "tags are still written"
    site.mlflow.tags["a-first", "1"]["serinus.resources.num_cpus"] = "0.1"
    site.reconciler.registry_changed()
    await site.settle()
    assert "mv-a-first-1" in site.serve.ran


async def test_what_serve_refuses_stops_that_version_only(site: ControllerSite) -> None:
    site.serve.refuses["mv-a-first-1"] = "no such label"
    site.mlflow.register("1", "champion", model="a-first")
    site.mlflow.register("1", "champion")
    held = await site.settle()
    assert answering(held) == {"champion": "1"}
    bad = next(v for v in held.variants if v.model == "a-first")
    assert (bad.state, "Serve refused: no such label" in (bad.reason or "")) == (VariantState.FAILED, True)


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_a_champion_that_is_refused_after_it_served_goes_on_and_is_alarmed(
    site: ControllerSite, is_restarted: bool
) -> None:
    """Its replicas hold the bytes that were verified. No new version gets so far."""
    before = await site.settled_canary()

    def refuse(name: str, version: str) -> CachedModel:
        raise ModelRefused("a cached file of the version was changed")

    site.mlflow.fetch = refuse  # type: ignore[method-assign]
    if is_restarted:
        site.kill()
    site.mlflow.tags[MODEL, "1"][DIGEST_TAG] = "another"
    site.reconciler.registry_changed()
    held = await site.tick(4)
    assert (held.tables, set(held.endpoints)) == (before.tables, set(before.endpoints))
    sentence = held.alarms[f"{MODEL}/version 1"]
    assert "refused" in sentence
    assert "a cached file of the version was changed" in sentence
    site.mlflow.register("3", "challenger")
    assert "3" not in answering(await site.settle()).values()


async def test_mlflow_away_at_the_first_look_is_told_and_refuses_nobody(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")
    models = site.mlflow.models

    def listed_and_then_away() -> object:
        listing = models()
        site.mlflow.away = True
        return listing

    site.mlflow.models = listed_and_then_away  # type: ignore[method-assign, assignment]
    held = await site.tick(2)
    site.mlflow.models = models  # type: ignore[method-assign]
    assert held.not_ready == (MODEL,)
    assert site.refusals.noted == []
    assert [v.reason for v in held.variants] == ["registry unavailable: MLflow does not answer"]
    site.mlflow.away = False
    assert answering(await site.settle()) == {"champion": "1"}


async def test_a_champion_alias_and_a_version_that_were_deleted_are_told(site: ControllerSite) -> None:
    await site.settled_canary()
    del site.mlflow.aliases[MODEL]["champion"]
    del site.mlflow.tags[MODEL, "1"]
    held = await site.tick(2)
    assert answering(held)["champion"] == "1"
    assert held.alarms[f"{MODEL}/champion"].endswith("version 1 goes on answering")
    assert "deleted in MLflow" in held.alarms[f"{MODEL}/version 1"]
    site.kill()
    after = await site.tick(3)
    assert (after.tables, after.alarms) == (held.tables, held.alarms)


async def test_a_model_that_was_deleted_goes_on_and_is_told(site: ControllerSite) -> None:
    await site.settled_canary(0)
    site.mlflow.aliases.clear()
    site.mlflow.tags.clear()
    held = await site.tick(5)
    assert answering(held) == {"champion": "1"}
    assert held.alarms[f"{MODEL}/model"] == "the model was deleted in MLflow; version 1 goes on answering"


async def test_a_champion_that_lost_its_replicas_for_good_is_alarmed(site: ControllerSite) -> None:
    await site.settled_canary()
    site.serve.apps[APP_1] = AppStatus(AppState.FAILED, "RuntimeError: CUDA error")
    held = await site.tick(3)
    assert held.alarms[f"{MODEL}/champion application"].endswith("RuntimeError: CUDA error")
    assert held.not_ready == (MODEL,)


async def test_a_model_whose_name_begins_anothers_leaves_its_applications_alone(site: ControllerSite) -> None:
    """`mv-ich-triage-1` is version 1 of ich-triage, and no version `triage-1` of ich."""
    site.mlflow.register("1", "champion")
    site.mlflow.register("1", "champion", model="ich")
    await site.settle()
    site.clock.now += 3600.0
    held = await site.tick(3)
    assert (set(held.tables), site.serve.deleted) == ({MODEL, "ich"}, [])


async def test_every_alias_that_moved_is_noted_once(site: ControllerSite) -> None:
    await site.settled_canary()
    site.moves.clear()
    site.mlflow.alias("champion", "2")
    await site.tick(3)
    assert [(m.alias, m.old, m.new) for m in site.moves] == [("champion", "1", "2")]


async def test_a_move_to_a_refused_version_and_a_deletion_are_noted_too(site: ControllerSite) -> None:
    await site.settled_canary()
    site.moves.clear()
    site.mlflow.alias("challenger", "9")  # which is not registered
    await site.tick(2)
    del site.mlflow.aliases[MODEL]["champion"]
    await site.tick(2)
    site.kill()
    await site.tick(2)
    noted = [(m.alias, m.old, m.new) for m in site.moves]
    assert noted == [("challenger", "2", "9"), ("champion", "1", None)]


async def test_each_of_several_moves_under_a_freeze_is_noted(site: ControllerSite) -> None:
    await site.settled_canary()
    site.moves.clear()
    site.control.frozen = True
    for version in ("1", "2"):
        site.mlflow.alias("challenger", version)
        await site.tick(2)
    assert [(m.alias, m.old, m.new) for m in site.moves] == [
        ("challenger", "2", "1"),
        ("challenger", "1", "2"),
    ]


async def test_while_mlflow_is_away_no_alias_moves(site: ControllerSite) -> None:
    await site.settled_canary()
    site.moves.clear()
    site.mlflow.away = True
    await site.tick(3)
    site.mlflow.away = False
    await site.tick(3)
    assert site.moves == []


async def test_the_state_of_an_older_release_notes_no_move_that_was_none(site: ControllerSite) -> None:
    """It kept the aliases to go by, and not those of MLflow."""
    await site.settled_canary()
    site.moves.clear()
    record = site.control.record
    assert record is not None
    former = json.loads(record.states_json)
    del former["registered"]
    record.states_json = json.dumps(former)
    site.kill()
    await site.tick(3)
    assert site.moves == []


async def test_alarms_of_the_watch_are_in_the_snapshot(site: ControllerSite) -> None:
    site.alarms = {MODEL: "the split is not the weight"}
    held = await site.settled_canary()
    generation = held.generation
    assert held.alarms[MODEL] == "the split is not the weight"
    assert (await site.tick(5)).generation == generation, "an alarm that stays gives no new number"


async def test_an_idle_site_publishes_and_writes_nothing(site: ControllerSite) -> None:
    before = await site.settled_canary()
    written = len(site.control.written)
    assert await site.tick(20) == before
    assert len(site.control.written) == written


async def test_a_part_that_fails_ends_no_loop(site: ControllerSite) -> None:
    site.mlflow.register("1", "champion")

    def broken() -> object:
        raise RuntimeError("odd")

    site.routing.all = broken  # type: ignore[method-assign, assignment]
    loop = asyncio.create_task(site.reconciler.run_forever())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not loop.done()
    loop.cancel()


async def test_the_tables_in_force_know_their_epoch(site: ControllerSite) -> None:
    await site.settled_canary()
    site.kill()
    await site.tick(2)
    assert site.reconciler.tables_in_force[MODEL].epoch == 1, "the table got its generation in epoch 1"
    assert replace(site.reconciler.tables_in_force[MODEL].table) == site.routers.held.table(MODEL)
