"""Who may sleep, how much a shadow reads, and what shuts an A/B test out."""

from __future__ import annotations

from canary.observation import (
    ABView,
    AppPhase,
    RolloutView,
    SiteRouting,
)
from canary.target import target_of
from tests.unit.canary.observations import (
    LOADING,
    READY,
    observation,
    registry,
    then,
)


def test_a_version_that_is_only_a_shadow_may_sleep_and_one_that_answers_may_not() -> None:
    seen = registry(champion="1", challenger="2", shadow_next="3", arm_a="4", arm_b="5")
    apps = dict.fromkeys("12345", READY)
    assert target_of(observation(seen, apps)).may_sleep == {"2", "3", "4", "5"}
    assert target_of(observation(seen, apps, rollout=RolloutView("2", "s", 0))).may_sleep == {"3", "4", "5"}
    test = ABView("s", {"arm-a": 5_000, "arm-b": 5_000})
    assert target_of(observation(seen, apps, ab_test=test)).may_sleep == {"2", "3"}


def test_a_version_that_was_never_ready_may_not_sleep() -> None:
    assert (
        target_of(observation(registry(champion="1", shadow_next="3"), {"1": READY, "3": LOADING})).may_sleep
        == set()
    )


def test_a_sleeping_shadow_goes_on_owing_studies_and_a_sleeping_canary_gets_none() -> None:
    before = target_of(observation(registry(champion="1", challenger="2"), {"1": READY, "2": READY}))
    asleep = {"1": READY, "2": AppPhase.ASLEEP}
    silent = then(before, registry(champion="1", challenger="2"), asleep)
    assert silent.table is not None
    assert [s.variant.version for s in silent.table.shadows] == ["2"]
    called = then(before, registry(champion="1", challenger="2"), asleep, rollout=RolloutView("2", "s", 500))
    assert called.table is not None
    assert called.table.canary is None
    assert called.may_sleep == set()


def test_a_challenger_without_a_weight_does_not_shut_an_ab_test_out() -> None:
    seen = registry(champion="1", challenger="2", arm_a="1", arm_b="3")
    test = ABView("s", {"arm-a": 5_000, "arm-b": 5_000})
    found = target_of(
        observation(seen, dict.fromkeys("123", READY), rollout=RolloutView("2", "r", 0), ab_test=test)
    )
    assert found.table is not None
    assert found.table.ab_test is not None
    assert [s.variant.version for s in found.table.shadows] == ["2"]


def test_what_people_set_for_the_challengers_silence_goes_before_what_its_rollout_grants() -> None:
    seen, apps = registry(champion="1", challenger="2"), {"1": READY, "2": READY}
    granted = RolloutView("2", "s", 0, mirror_bp=6_000)

    def share_bp(**site: int) -> int:
        found = target_of(observation(seen, apps, rollout=granted, site=SiteRouting(shadow_bp=site)))
        assert found.table is not None
        return found.table.shadows[0].share_bp

    assert (share_bp(), share_bp(challenger=1_000)) == (6_000, 1_000)
