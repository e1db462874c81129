"""Remembering targets changes none of them: whatever happened before, and however much time has passed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import target_memory
from canary.observation import (
    AppPhase,
    ModelObservation,
    ReconcilerState,
    RegistryView,
    RolloutView,
    SiteRouting,
)
from canary.target import ModelTarget, target, target_of
from canary.target_memory import TargetMemory
from tests.unit.canary.observations import READY, observation, registry

MODELS = ("brain", "chest")
ALIASES = ("champion", "challenger", "shadow_x")
versions = st.sampled_from(("1", "2", "3"))
statuses = st.dictionaries(versions, st.sampled_from(("cleared", "research", "withdrawn")), max_size=2)
registries = st.one_of(
    st.none(),
    st.builds(
        lambda known, aliases: registry(known, **aliases),
        statuses,
        st.dictionaries(st.sampled_from(ALIASES), versions),
    ),
)
rollouts = st.one_of(
    st.none(),
    st.builds(
        RolloutView,
        version=versions,
        salt=st.just("s"),
        weight_bp=st.sampled_from((0, 500)),
        in_advance_until_s=st.one_of(st.none(), st.sampled_from((1_010.0, 2_000.0))),
    ),
)
looks = st.fixed_dictionaries(
    {
        "registry": registries,
        "apps": st.dictionaries(versions, st.sampled_from(tuple(AppPhase))),
        "rollout": rollouts,
        "site": st.builds(SiteRouting, frozen=st.booleans()),
    }
)
stretches = st.lists(
    st.tuples(st.sampled_from(MODELS), looks, st.sampled_from((0.5, 4.0, 700.0)), st.integers(1, 3)),
    min_size=1,
    max_size=8,
)


@given(stretches)
def test_the_target_is_the_one_that_would_be_computed_anew(
    happened: list[tuple[str, dict[str, Any], float, int]],
) -> None:
    memory, now_s = TargetMemory(), 1_000.0
    looked: dict[str, dict[str, Any]] = {model: {"registry": None, "apps": {}} for model in MODELS}
    states = dict.fromkeys(MODELS, ReconcilerState())
    for model, look, passes_s, times in happened:
        looked[model] = look
        for _ in range(times):
            now_s += passes_s
            seen = [_observation(m, looked[m], states[m], now_s) for m in MODELS]
            remembered = memory.target(seen)
            assert remembered == target(seen)
            states = {one.model: one.state for one in remembered.models}


def _observation(model: str, look: dict[str, Any], state: ReconcilerState, now_s: float) -> ModelObservation:
    return ModelObservation(model=model, now_s=now_s, state=state, **look)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose target was computed, in order."""
    names: list[str] = []

    def counted(seen: ModelObservation) -> ModelTarget:
        names.append(seen.model)
        return target_of(seen)

    monkeypatch.setattr(target_memory, "target_of", counted)
    return names


def tick(
    memory: TargetMemory, before: dict[str, ModelObservation], now_s: float
) -> dict[str, ModelObservation]:
    """One tick over the same world; the next observations have the states that came of it."""
    result = memory.target(replace(one, now_s=now_s) for one in before.values())
    return {one.model: replace(before[one.model], state=one.state) for one in result.models}


def a_world(seen: RegistryView) -> dict[str, ModelObservation]:
    return {model: observation(seen, {"1": READY}, model=model) for model in MODELS}


def test_only_the_model_that_changed_is_computed(computed: list[str]) -> None:
    memory, world = TargetMemory(), a_world(registry(champion="1"))
    for second in range(3):
        world = tick(memory, world, 1_000.0 + second)
    computed.clear()
    world = tick(memory, world, 1_010.0)
    assert computed == []
    world["chest"] = replace(world["chest"], apps={"1": READY, "2": READY})
    tick(memory, world, 1_011.0)
    assert computed == ["chest"]


def test_what_ends_by_the_clock_is_computed_each_time(computed: list[str]) -> None:
    memory, world = TargetMemory(), a_world(registry(champion="1"))
    world = {model: replace(one, apps={"1": READY, "2": READY}) for model, one in world.items()}
    for second in range(3):
        world = tick(memory, world, 1_000.0 + second)
    assert len(computed) == 6, "version 2 has no role and is deleted after a while"
