"""What should run and who should read: a function of the present."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.observation import (
    ABView,
    AppPhase,
    KeepWarm,
    ModelObservation,
    ReconcilerState,
    RegistryView,
    RolloutView,
    SiteRouting,
)
from canary.routing_table import Rule, Slot
from canary.target import ModelTarget, target, target_of
from tests.unit.canary.observations import (
    FAILED,
    LOADING,
    READY,
    UNWELL,
    answering,
    observation,
    registry,
    running,
    settled,
    shadowing,
    then,
    view,
)


def test_a_first_champion_is_started_and_answers_once_it_is_ready() -> None:
    first = target_of(observation(registry(champion="1")))
    assert (running(first), first.table) == (["1"], None)
    ready = then(first, registry(champion="1"), {"1": READY})
    assert answering(ready) == {"champion": "1"}


@pytest.mark.parametrize("phase", [LOADING, FAILED, UNWELL])
def test_a_promotion_waits_until_the_new_version_is_ready(phase: AppPhase) -> None:
    waiting = then(settled(), registry(champion="2"), {"1": READY, "2": phase})
    assert answering(waiting) == {"champion": "1"}
    assert running(waiting) == ["1", "2"]
    done = then(waiting, registry(champion="2"), {"1": READY, "2": READY})
    assert answering(done) == {"champion": "2"}


def promoted(**changes: Any) -> ModelTarget:
    return then(settled(), registry(champion="2"), {"1": READY, "2": READY}, **changes)


def test_the_previous_champion_stays_warm_for_the_rollback_window_and_no_longer() -> None:
    keep = KeepWarm(rollback_window_s=100.0, scale_down_delay_s=10.0, drain_s=1.0)
    step = promoted(keep=keep)
    both = {"1": READY, "2": READY}
    inside = then(step, registry(champion="2"), both, now_s=1_100.9, keep=keep)
    assert (running(inside), inside.delete) == (["1", "2"], ())
    after = then(inside, registry(champion="2"), both, now_s=1_101.0, keep=keep)
    assert (running(after), after.delete) == (["2"], ("1",))


def test_an_application_that_is_slow_to_go_is_not_called_back() -> None:
    keep = KeepWarm(rollback_window_s=100.0)
    step = promoted(keep=keep)
    for now in (1_200.0, 1_201.0, 1_300.0):
        step = then(step, registry(champion="2"), {"1": AppPhase.STOPPING, "2": READY}, now_s=now, keep=keep)
        assert running(step) == ["2"]


def test_moving_the_alias_back_rolls_back_in_one_look() -> None:
    back = then(promoted(), registry(champion="1"), {"1": READY, "2": READY})
    assert answering(back) == {"champion": "1"}


def test_a_previous_champion_that_died_is_started_again_within_its_window() -> None:
    assert running(then(promoted(), registry(champion="2"), {"2": READY})) == ["1", "2"]


def test_a_missing_champion_alias_and_a_silent_registry_change_nothing() -> None:
    step = settled()
    for seen in (RegistryView({}, {}), None):
        after = then(step, seen, {"1": READY})
        assert (running(after), after.delete, after.table) == (["1"], (), step.table)


def test_a_promotion_under_way_survives_the_loss_of_its_alias() -> None:
    waiting = then(settled(), registry(champion="2"), {"1": READY, "2": LOADING})
    assert answering(then(waiting, RegistryView({}, {}), {"1": READY, "2": READY})) == {"champion": "2"}


def test_a_champion_that_is_unwell_for_a_moment_keeps_its_place() -> None:
    for phase in (UNWELL, LOADING, FAILED):
        assert answering(then(promoted(), registry(champion="2"), {"1": READY, "2": phase})) == {
            "champion": "2"
        }


def rollout(weight_bp: int = 500, **changes: Any) -> RolloutView:
    return RolloutView(**({"version": "2", "salt": "r1", "weight_bp": weight_bp} | changes))


def test_a_challenger_is_started_shadows_when_ready_and_answers_what_its_rollout_grants() -> None:
    seen = registry(champion="1", challenger="2")
    loading = then(settled(), seen, {"1": READY, "2": LOADING})
    assert (running(loading), shadowing(loading)) == (["1", "2"], {})
    silent = then(loading, seen, {"1": READY, "2": READY})
    assert (answering(silent), shadowing(silent)) == ({"champion": "1"}, {"challenger": 10_000})
    live = then(silent, seen, {"1": READY, "2": READY}, rollout=rollout(500, mirror_bp=4_000))
    assert live.table is not None
    assert live.table.canary is not None
    assert (live.table.canary.weight_bp, live.table.canary.salt) == (500, "r1")
    assert shadowing(live) == {"challenger": 4_000}


@pytest.mark.parametrize("phase", [LOADING, UNWELL, FAILED, AppPhase.STOPPING])
def test_a_canary_that_is_not_ready_gets_no_weight(phase: AppPhase) -> None:
    step = then(
        settled(), registry(champion="1", challenger="2"), {"1": READY, "2": phase}, rollout=rollout(10_000)
    )
    assert answering(step) == {"champion": "1"}


def test_a_rollout_of_another_version_grants_nothing() -> None:
    seen = registry(champion="1", challenger="3")
    assert answering(then(settled(), seen, {"1": READY, "3": READY}, rollout=rollout())) == {"champion": "1"}


def test_deleting_the_challenger_alias_ends_its_weight_after_the_grace_and_its_application_later() -> None:
    apps = {"1": READY, "2": READY}
    live = then(settled(), registry(champion="1", challenger="2"), apps, rollout=rollout())
    pending = then(live, registry(champion="1"), apps, rollout=rollout(), now_s=1_010.0)
    gone = then(pending, registry(champion="1"), apps, rollout=rollout(), now_s=1_013.0)
    assert (answering(gone), shadowing(gone), running(gone)) == ({"champion": "1"}, {}, ["1", "2"])
    assert (gone.spent_weight, gone.state.missing_since) == ("2", {})
    again = then(gone, registry(champion="1", challenger="2"), apps, rollout=rollout(), now_s=1_300.0)
    assert answering(again) == {"champion": "1", "canary": "2"}
    later = then(gone, registry(champion="1"), apps, now_s=1_700.0)
    assert later.delete == ("2",)


def test_an_alias_that_is_back_within_the_grace_was_never_away() -> None:
    """A script that deletes an alias and sets it again ends no rollout, no shadow and no test."""
    seen = registry(champion="1", challenger="2", shadow_x="3")
    apps = {"1": READY, "2": READY, "3": READY}
    live = then(settled(), seen, apps, rollout=rollout())
    away = then(live, registry(champion="1"), apps, rollout=rollout(), now_s=1_010.0)
    longer = then(away, registry(champion="1"), apps, rollout=rollout(), now_s=1_012.9)
    back = then(longer, seen, apps, rollout=rollout(), now_s=1_013.5)
    assert [step.table for step in (away, longer, back)] == [live.table] * 3
    assert [step.spent_weight for step in (away, longer, back)] == [None] * 3
    assert [c.subject for c in longer.conditions] == ["alias challenger", "alias shadow-x"]
    once_more = then(back, registry(champion="1"), apps, rollout=rollout(), now_s=1_014.0)
    assert once_more.table == live.table, "the grace begins anew"


def test_an_arm_that_is_away_for_a_moment_ends_no_ab_test() -> None:
    seen = registry(champion="1", arm_a="2", arm_b="3")
    apps = {"1": READY, "2": READY, "3": READY}
    live = then(settled(), seen, apps, ab_test=AB)
    away = then(live, registry(champion="1", arm_a="2"), apps, ab_test=AB, now_s=1_010.0)
    assert set(answering(away)) == {"champion", "arm-a", "arm-b"}
    ended = then(away, registry(champion="1", arm_a="2"), apps, ab_test=AB, now_s=1_013.0)
    assert set(answering(ended)) == {"champion"}


def test_within_the_grace_a_weight_of_0_a_freeze_a_withdrawal_and_another_version_count_at_once() -> None:
    apps = {"1": READY, "2": READY, "3": READY}
    live = then(settled(), registry(champion="1", challenger="2"), apps, rollout=rollout())
    away = then(live, registry(champion="1"), apps, rollout=rollout(), now_s=1_010.0)
    stopped = then(away, registry(champion="1"), apps, rollout=rollout(0), now_s=1_010.5)
    assert stopped.table is not None
    assert stopped.table.canary is not None
    assert stopped.table.canary.weight_bp == 0
    frozen = then(away, registry(champion="1"), apps, rollout=rollout(), site=SiteRouting(frozen=True))
    assert frozen.table is not None
    assert frozen.table.frozen
    withdrawn = RegistryView({"champion": "1"}, {"1": view("1"), "2": view("2", "withdrawn")})
    assert answering(then(away, withdrawn, apps, rollout=rollout())) == {"champion": "1"}
    moved = then(away, registry(champion="1", challenger="3"), apps, rollout=rollout(), now_s=1_010.5)
    assert shadowing(moved) == {"challenger": 10_000}


def test_an_alias_that_was_taken_away_under_a_freeze_counts_as_soon_as_it_ends() -> None:
    apps = {"1": READY, "2": READY}
    live = then(settled(), registry(champion="1", challenger="2"), apps, rollout=rollout())
    frozen = SiteRouting(frozen=True)
    held = then(live, registry(champion="1"), apps, rollout=rollout(), site=frozen, now_s=1_010.0)
    assert answering(held) == {"champion": "1", "canary": "2"}
    (told,) = held.conditions
    assert told.sentence == "the alias challenger is taken away in MLflow; it counts after the freeze"
    assert answering(then(held, registry(champion="1"), apps, rollout=rollout(), now_s=1_020.0)) == {
        "champion": "1"
    }


def test_a_shadow_that_is_away_for_a_moment_goes_on_owing_studies() -> None:
    seen = registry(champion="1", shadow_next="9")
    ready = then(settled(), seen, {"1": READY, "9": READY})
    assert shadowing(then(ready, seen, {"1": READY, "9": UNWELL})) == {"shadow-next": 10_000}
    never = then(settled(), seen, {"1": READY, "9": UNWELL})
    assert shadowing(never) == {}


def test_several_shadows_have_their_own_shares_and_each_version_reads_once() -> None:
    seen = registry(champion="1", shadow_a="8", shadow_b="9", shadow_c="9", shadow_d="1")
    site = SiteRouting(shadow_bp={"shadow-a": 2_000})
    step = then(settled(), seen, {"1": READY, "8": READY, "9": READY}, site=site)
    assert shadowing(step) == {"shadow-a": 2_000, "shadow-b": 10_000}


def test_foreign_aliases_start_nothing() -> None:
    assert running(then(settled(), registry(champion="1", best="5"), {"1": READY})) == ["1"]


def test_an_uncleared_version_only_shadows_whatever_its_alias() -> None:
    apps = {"1": READY, "2": READY, "3": READY}
    seen = registry({"2": "research", "3": "research"}, champion="2", challenger="3")
    step = then(settled(), seen, apps, rollout=rollout(10_000, version="3"))
    assert answering(step) == {"champion": "1"}
    assert shadowing(step) == {"challenger": 10_000, "shadow-champion": 10_000}
    assert {s.role for s in step.version_statuses if "research" in s.reason} == {"champion", "challenger"}


def test_an_uncleared_version_is_never_a_models_first_champion() -> None:
    step = target_of(observation(registry({"1": "research"}, champion="1"), {"1": READY}))
    assert (step.table, running(step)) == (None, ["1"])


def test_a_withdrawn_champion_stops_at_once_and_its_warm_predecessor_answers() -> None:
    apps = {"1": READY, "2": READY}
    step = then(promoted(), registry({"2": "withdrawn"}, champion="2"), apps)
    assert answering(step) == {"champion": "1"}
    after = then(step, registry({"2": "withdrawn"}, champion="2"), apps, now_s=1_100.0)
    assert (answering(after), after.delete) == ({"champion": "1"}, ("2",))


def test_a_withdrawn_champion_without_a_predecessor_leaves_nobody_to_answer() -> None:
    step = then(settled(), registry({"1": "withdrawn"}, champion="1"), {"1": READY})
    assert step.table is None
    assert step.state.generation == 1
    back = then(step, registry(champion="1"), {"1": READY})
    assert back.table is not None
    assert back.table.generation == 2


AB = ABView("ab", {"arm-a": 5_000, "arm-b": 5_000})


def test_an_ab_test_runs_only_with_all_its_arms() -> None:
    seen = registry(champion="1", arm_a="1", arm_b="2")
    both = then(settled(), seen, {"1": READY, "2": READY}, ab_test=AB)
    assert answering(both) == {"champion": "1", "arm-a": "1", "arm-b": "2"}
    assert answering(then(both, seen, {"1": READY, "2": FAILED}, ab_test=AB)) == {"champion": "1"}
    uncleared = registry({"2": "research"}, champion="1", arm_a="1", arm_b="2")
    assert answering(then(both, uncleared, {"1": READY, "2": READY}, ab_test=AB)) == {"champion": "1"}


def test_an_ab_test_beside_a_canary_needs_a_slot_of_its_own() -> None:
    seen = registry(champion="1", challenger="2", arm_a="1", arm_b="3")
    apps = dict.fromkeys("123", READY)
    crowded = then(settled(), seen, apps, rollout=rollout(), ab_test=AB)
    assert set(answering(crowded)) == {"champion", "canary"}
    left, right = Slot("ct", "s", 0, 5_000), Slot("ct", "s", 5_000, 10_000)
    apart = then(settled(), seen, apps, rollout=rollout(slot=left), ab_test=replace(AB, slot=right))
    assert set(answering(apart)) == {"champion", "canary", "arm-a", "arm-b"}


def test_a_rule_for_a_variant_that_is_not_there_waits() -> None:
    site = SiteRouting(rules=(Rule("pilot", "canary", sites=("north",)),))
    absent = settled(site=site)
    assert absent.table is not None
    assert absent.table.rules == ()
    seen = registry(champion="1", challenger="2")
    there = then(absent, seen, {"1": READY, "2": READY}, site=site, rollout=rollout(0))
    assert there.table is not None
    assert there.table.rules == site.rules


def test_a_freeze_moves_nothing_and_stops_nothing() -> None:
    frozen = SiteRouting(frozen=True)
    apps = {"1": READY, "2": READY, "7": READY}
    step = then(settled(), registry(champion="2"), apps, site=frozen, now_s=9e9)
    assert answering(step) == {"champion": "1"}
    assert (running(step), step.delete) == (["1", "2"], ())
    assert step.table is not None
    assert step.table.frozen
    thawed = then(step, registry(champion="2"), apps, now_s=9e9 + 1)
    assert answering(thawed) == {"champion": "2"}


def test_a_freeze_in_the_middle_of_a_promotion_holds_it() -> None:
    waiting = then(settled(), registry(champion="2"), {"1": READY, "2": LOADING})
    frozen = then(waiting, registry(champion="2"), {"1": READY, "2": READY}, site=SiteRouting(frozen=True))
    assert answering(frozen) == {"champion": "1"}


def test_a_withdrawal_takes_effect_through_a_freeze() -> None:
    step = then(
        settled(), registry({"1": "withdrawn"}, champion="1"), {"1": READY}, site=SiteRouting(frozen=True)
    )
    assert step.table is None


def test_the_generation_rises_with_each_change_and_only_then() -> None:
    step = settled()
    same = then(step, registry(champion="1"), {"1": READY}, now_s=5_000.0)
    changed = then(same, registry(champion="2"), {"1": READY, "2": READY})
    assert [s.table.generation for s in (step, same, changed) if s.table] == [1, 1, 2]


def test_all_models_come_together_by_name() -> None:
    observations = [observation(registry(champion="1"), {"1": READY}, model=m) for m in ("b", "a", "c")]
    observations.append(observation(registry(champion="1"), model="loading"))
    assert list(target(observations).tables) == ["a", "b", "c"]


def test_each_version_says_how_it_stands() -> None:
    seen = registry({"4": "research"}, champion="1", challenger="2", shadow_x="3", shadow_y="4", arm_a="5")
    apps = {"1": READY, "2": READY, "3": READY, "4": FAILED, "5": LOADING}
    step = then(settled(), seen, apps, rollout=rollout())
    assert {s.role: s.reason for s in step.version_statuses} == {
        "champion": "ready: answers as champion",
        "challenger": "ready: answers 5 % as canary",
        "shadow-x": "ready: reads as a shadow",
        "shadow-y": "failed: it is for research only, so it only reads as a shadow",
        "arm-a": "loading: waits",
    }


versions = st.sampled_from(["1", "2", "3"])
worlds = st.builds(
    lambda aliases, statuses, apps, weight, frozen, here, dt: (
        observation(
            RegistryView(aliases, {v: view(v, statuses[v]) for v in statuses}) if here else None,
            apps,
            rollout=rollout(weight),
            ab_test=AB,
            site=SiteRouting(frozen=frozen, rules=(Rule("r", "canary", sites=("n",)),)),
        ),
        dt,
    ),
    st.dictionaries(
        st.sampled_from(["champion", "challenger", "shadow-x", "shadow-y", "arm-a", "arm-b", "other"]),
        versions,
    ),
    st.fixed_dictionaries({v: st.sampled_from(["cleared", "research", "withdrawn"]) for v in "123"}),
    st.dictionaries(st.sampled_from("1234"), st.sampled_from(list(AppPhase))),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 59.0, 601.0, 90_000.0]),
)


@given(history=st.lists(worlds, min_size=1, max_size=6))
@settings(max_examples=400, deadline=None)
def test_in_every_history_the_laws_hold(history: list[tuple[ModelObservation, float]]) -> None:
    state, now = ReconcilerState(), 0.0
    for world, dt in history:
        now += dt
        seen = replace(world, state=state, now_s=now)
        step = target_of(seen)
        check_laws(seen, step)
        again = target_of(replace(seen, state=step.state))
        assert (again.run, again.delete, again.table) == (step.run, step.delete, step.table), (
            "two observations, one target"
        )
        state = step.state


def check_laws(seen: ModelObservation, step: ModelTarget) -> None:
    named = {v.version for v in step.table.answering.values()} if step.table else set()
    silent = {s.variant.version for s in step.table.shadows} if step.table else set()
    assert not set(step.delete) & (named | silent | set(running(step))), "what is named is not deleted"
    assert named | silent <= set(running(step)), "what is named should run"
    known = seen.registry.versions if seen.registry else {}
    assert all(known[v].gate.may_answer for v in named if v in known), "only the cleared answer"
    assert all(known[v].gate.may_shadow for v in silent if v in known), "the withdrawn read nothing"
    newcomers = named - ({seen.state.champion} if seen.state.champion else set())
    back_soon = {v for v in seen.state.ready_once if seen.apps.get(v) is UNWELL}
    assert all(seen.apps.get(v) is READY for v in newcomers - back_soon), "weight goes only to what is ready"
    before = seen.state.table
    if before is not None and step.table is not None and step.table != before:
        assert step.table.generation > before.generation
    if seen.site.frozen:
        assert not step.delete
