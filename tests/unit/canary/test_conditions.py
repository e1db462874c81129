"""What people asked for and does not hold is told in a sentence, where they look."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from canary.observation import ABView, RegistryView, RolloutView, SiteRouting
from canary.routing_table import Rule
from canary.target import ModelTarget
from tests.unit.canary.observations import LOADING, READY, registry, settled, then

BOTH = {"1": READY, "2": READY}


def told(step: ModelTarget) -> dict[str, str]:
    return {condition.subject: condition.sentence for condition in step.conditions}


def looked(seen: RegistryView | None, **changes: Any) -> dict[str, str]:
    return told(then(settled(), seen, changes.pop("apps", BOTH), **changes))


def test_where_all_is_as_asked_nothing_is_told() -> None:
    seen = registry(champion="1", challenger="2", shadow_x="2")
    site = SiteRouting(
        rules=(Rule("pilot", "canary", sites=("n",)), Rule("pin to champion", "champion", keys=("k",))),
        shadow_bp={"shadow-x": 100},
    )
    assert looked(seen, rollout=RolloutView("2", "s", 500), site=site) == {}


def test_a_rule_that_names_no_variant_is_out_of_force_and_says_so() -> None:
    site = SiteRouting(rules=(Rule("pilot", "canary", sites=("n",)),))
    assert looked(registry(champion="1"), site=site) == {
        "rule pilot": "the rule 'pilot' is not in force: no variant 'canary' may answer now"
    }


def test_pins_to_a_variant_that_may_not_answer_are_counted_and_name_no_patient() -> None:
    pins = tuple(Rule("pin to arm-b", "arm-b", keys=(f"pt-{n}",)) for n in range(3))
    sentences = looked(registry(champion="1"), site=SiteRouting(rules=pins))
    assert sentences == {
        "pin to arm-b": "pins to 'arm-b' are not in force (3): no such variant may answer now"
    }


def test_a_share_for_an_alias_that_nobody_has() -> None:
    sentences = looked(registry(champion="1"), site=SiteRouting(shadow_bp={"shadow-x": 100}))
    assert sentences == {"share shadow-x": "a share is set for the alias 'shadow-x', which no version has"}


def test_an_arm_without_a_version_and_an_arm_that_is_not_ready() -> None:
    test = ABView("s", {"arm-a": 5_000, "arm-b": 5_000})
    sentences = looked(registry(champion="1", arm_b="2"), apps={"1": READY, "2": LOADING}, ab_test=test)
    assert sentences == {
        "arm arm-a": "the A/B test waits: no version has the alias 'arm-a'",
        "arm arm-b": "the A/B test waits: version 2 (arm-b) is not ready",
    }


def test_a_weight_for_a_version_that_is_not_the_challenger() -> None:
    rollout = RolloutView("9", "s", 500)
    assert looked(registry(champion="1"), rollout=rollout) == {
        "weight": "a weight of 5 % is set for version 9, which is not the challenger"
    }
    ahead = replace(rollout, in_advance_until_s=2_000.0)
    assert looked(registry(champion="1"), rollout=ahead)["weight"].endswith("; it waits, in advance")


def test_a_champion_alias_that_was_deleted_and_who_answers() -> None:
    assert looked(RegistryView({}, {})) == {
        "champion": "the alias champion was deleted in MLflow; version 1 goes on answering"
    }


def test_a_version_that_was_deleted_and_who_answers() -> None:
    seen = registry(champion="1", challenger="2")
    assert looked(replace(seen, deleted=frozenset("12"))) == {
        "version 1": "version 1 (champion) was deleted in MLflow; version 1 goes on answering",
        "version 2": "version 2 (challenger) was deleted in MLflow; it goes on as it is loaded",
    }


def test_a_model_that_was_deleted_and_who_answers() -> None:
    assert looked(RegistryView({}, {}, exists=False)) == {
        "model": "the model was deleted in MLflow; version 1 goes on answering"
    }


@pytest.mark.parametrize("site", [SiteRouting(), SiteRouting(frozen=True)])
def test_a_registry_that_is_silent_tells_nothing_about_aliases(site: SiteRouting) -> None:
    assert looked(None, site=site) == {}
