"""What a restarted controller, a lost replica or a moved alias may not do to patients, and when a weight ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from canary.observation import ABView, AppPhase, RegistryView, RolloutView, SiteRouting
from canary.target import ModelTarget, target_of
from tests.unit.canary.observations import (
    FAILED,
    LOADING,
    READY,
    UNWELL,
    answering,
    observation,
    registry,
    settled,
    then,
    view,
)

BOTH = {"1": READY, "2": READY}
HALF = RolloutView("2", "r1", 5_000)


def with_canary(**changes: RolloutView) -> ModelTarget:
    seen = registry(champion="1", challenger="2")
    return then(settled(), seen, BOTH, **({"rollout": HALF} | changes))


def test_a_replica_that_is_replaced_moves_no_patient_of_a_canary() -> None:
    step = then(
        with_canary(), registry(champion="1", challenger="2"), {"1": READY, "2": UNWELL}, rollout=HALF
    )
    assert step.table == with_canary().table
    gone = then(step, registry(champion="1", challenger="2"), {"1": READY, "2": FAILED}, rollout=HALF)
    assert answering(gone) == {"champion": "1"}


def test_a_replica_that_is_replaced_ends_no_ab_test() -> None:
    test = ABView("ab", {"arm-a": 5_000, "arm-b": 5_000})
    seen = registry(champion="1", arm_a="1", arm_b="2")
    before = then(settled(), seen, BOTH, ab_test=test)
    assert then(before, seen, {"1": READY, "2": UNWELL}, ab_test=test).table == before.table


def test_a_version_is_not_promoted_while_its_replica_is_replaced() -> None:
    step = then(with_canary(), registry(champion="2"), {"1": READY, "2": UNWELL})
    assert answering(step) == {"champion": "1"}


def test_admission_that_is_not_answered_yet_changes_no_table() -> None:
    """The first observation after a restart: MLflow has answered, the files are not verified again yet."""
    seen = RegistryView({"champion": "1", "challenger": "2"}, {})
    after = then(with_canary(), seen, BOTH, rollout=HALF)
    assert (after.table, after.delete) == (with_canary().table, ())


def test_a_new_epoch_keeps_the_generation_of_a_table_that_stays() -> None:
    before = target_of(observation(registry(champion="1"), {"1": READY}, epoch=3))
    same = then(before, registry(champion="1"), {"1": READY}, epoch=4)
    assert (same.table, same.state.table_epoch) == (before.table, 3)
    other = then(same, registry(champion="2"), BOTH, epoch=4)
    assert other.state.table_epoch == 4


def promoted() -> ModelTarget:
    return then(with_canary(), registry(champion="2", challenger="2"), BOTH, rollout=HALF)


def test_a_weight_ends_when_its_version_is_promoted() -> None:
    assert with_canary().spent_weight is None
    assert promoted().spent_weight == "2"


def test_after_a_promotion_the_champion_moved_back_gets_everybody() -> None:
    """50 %, promoted, and `champion` moved back in MLflow while `challenger` still names the version."""
    ended = replace(HALF, weight_bp=0)
    back = then(promoted(), registry(champion="1", challenger="2"), BOTH, rollout=ended)
    assert back.table is not None
    assert back.table.champion.version == "1"
    assert back.table.canary is None or back.table.canary.weight_bp == 0


@pytest.mark.parametrize("aliases", [{}, {"challenger": "3"}])
def test_a_weight_ends_with_its_candidacy(aliases: dict[str, str]) -> None:
    seen = registry(champion="1", **aliases)
    away = then(with_canary(), seen, BOTH, rollout=HALF)
    assert then(away, seen, BOTH, rollout=HALF, now_s=1_100.0).spent_weight == "2"


def test_no_weight_ends_while_the_registry_is_silent_or_routing_is_frozen() -> None:
    assert then(with_canary(), None, BOTH, rollout=HALF).spent_weight is None
    frozen = SiteRouting(frozen=True)
    assert then(with_canary(), registry(champion="1"), BOTH, rollout=HALF, site=frozen).spent_weight is None


def test_a_weight_of_a_challenger_that_is_still_being_verified_does_not_end() -> None:
    seen = RegistryView({"champion": "1", "challenger": "2"}, {"1": view("1")})
    assert then(settled(), seen, {"1": READY}, rollout=HALF).spent_weight is None


def in_advance(until_s: float) -> RolloutView:
    return replace(HALF, in_advance_until_s=until_s)


def test_a_weight_in_advance_acts_once_its_version_is_the_challenger_in_time() -> None:
    waiting = then(settled(), registry(champion="1"), BOTH, rollout=in_advance(2_000.0))
    assert (answering(waiting), waiting.spent_weight) == ({"champion": "1"}, None)
    seen = registry(champion="1", challenger="2")
    live = then(waiting, seen, BOTH, rollout=in_advance(2_000.0), now_s=1_999.0)
    assert answering(live) == {"champion": "1", "canary": "2"}
    later = then(live, seen, BOTH, rollout=in_advance(2_000.0), now_s=5_000.0)
    assert (answering(later), later.spent_weight) == ({"champion": "1", "canary": "2"}, None)


def test_a_weight_in_advance_expires() -> None:
    late = {"rollout": in_advance(2_000.0), "now_s": 2_001.0}
    unused = then(settled(), registry(champion="1"), BOTH, **late)
    assert unused.spent_weight == "2"
    seen = registry(champion="1", challenger="2")
    for step in (
        then(unused, seen, BOTH, **late),
        then(then(unused, seen, BOTH, **late), seen, BOTH, **late),
    ):
        assert (answering(step), step.spent_weight) == ({"champion": "1"}, "2")


@pytest.mark.parametrize("phase", [LOADING, AppPhase.ASLEEP, FAILED])
def test_only_a_replica_that_is_being_replaced_is_waited_for(phase: AppPhase) -> None:
    seen = registry(champion="1", challenger="2")
    step = then(with_canary(), seen, {"1": READY, "2": phase}, rollout=HALF)
    assert answering(step) == {"champion": "1"}
