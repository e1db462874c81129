"""The story of three rollouts on a live stack, told by the demo itself and by what is left when it has ended.

Given version 1 as champion, and phantoms of which is known what they show, that flow in from four callers:
when version 2 is challenger, then it waits as long as nobody has data or approves, and earns its promotion;
when version 3 is challenger, then its bad stratum stops it in the shadow, and no patient got it;
when a build that fails on a tenth of the studies is challenger, then it goes back from its canary within the number
of studies that is to be expected, no study is lost, and its studies are on the recall list;
when somebody undoes the promotion, then version 1 is champion again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry.client import RegistryClient
from serve_apps.cli import rollout_demo
from serve_apps.cli.client import ApiError
from serve_apps.cli.rollout_demo.acts import BETTER, MODEL, ROLES, STABLE, WORSE, broken
from serve_apps.cli.rollout_demo.flow import Flow, Tally
from serve_apps.cli.rollout_demo.play import Play, Played
from serve_apps.cli.rollout_demo.site import RunningSite, phantoms
from serve_apps.embedded.demo_models import broken_build
from tests.e2e.conftest import NewStack
from tests.stack import CommandFailed, LiveStack, eventually

PLANS = Path(rollout_demo.__file__).parent
FIRST = 40_000
CALLERS = 3
FORETOLD = 200  # canary studies: by then all but one rollout in a thousand at 25 % have found a failure of one in ten
LONGEST_ACT_S = 600.0


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> LiveStack:
    return new_stack("rollout-demo")


@pytest.fixture(scope="module")
def site(stack: LiveStack) -> RunningSite:
    return RunningSite(stack.settings)


@dataclass
class Told:
    """What was played, by the number of the act."""

    better: Played
    worse: Played
    broken: Played
    before_data: Mapping[str, Any]
    unapproved: Mapping[str, Any]


@pytest.fixture(scope="module")
def told(site: RunningSite, stack: LiveStack) -> Told:
    """All three acts; in the first one nothing flows for a while, and then nobody approves for a while."""
    last = broken(broken_build(stack.settings, print))
    site.set_alias("challenger", BETTER.candidate)
    site.wait_until_warm(BETTER.candidate)
    begun = stack.run("rollout", "start", MODEL, str(PLANS / BETTER.plan))
    time.sleep(5)
    before_data = site.rollout(begun["run"])
    with Flow(site, phantoms(FIRST), CALLERS) as flow:
        unapproved = at_the_approval(site, begun["run"])
        play = Play(site, flow.tally, lambda answer: None, longest_s=LONGEST_ACT_S)
        better = play.act(BETTER)
        worse = play.act(WORSE)
        sent_back = play.act(last)
    return Told(better, worse, sent_back, before_data, unapproved)


def at_the_approval(site: RunningSite, run: int) -> Mapping[str, Any]:
    """How it stands some seconds after it began to wait for people."""
    eventually(
        lambda: set(site.rollout(run)["gate"]["roles"]) == set(ROLES) or None, 240, "the proof to be complete"
    )
    time.sleep(5)
    return site.rollout(run)


def test_without_data_it_holds(told: Told) -> None:
    assert (told.before_data["phase"], told.before_data["weight_bp"]) == ("Progressing", 0)
    assert told.before_data["reason"].startswith("waits for")


def test_as_long_as_nobody_approves_it_waits(told: Told) -> None:
    assert (told.unapproved["phase"], told.unapproved["weight_bp"]) == ("Progressing", 0)
    assert {"radiologist", "quality"} == set(told.unapproved["gate"]["roles"])


def test_the_better_version_earns_its_promotion(told: Told) -> None:
    assert told.better.faults == ()
    assert told.better.is_promoted


def test_the_worse_version_is_stopped_in_the_shadow_by_its_bad_stratum(told: Told) -> None:
    assert told.worse.faults == ()
    assert told.worse.tally.answered.keys() == {BETTER.candidate}, "no patient got version 3"
    assert told.worse.rollout["reason"].startswith(("specificity failed", "specificity is inconclusive"))
    (metric,) = (one for one in told.worse.rollout["evidence"] if one["metric"] == "specificity")
    assert "Thin CT" in metric["worst_stratum"]["stratum"]


def test_the_broken_build_goes_back_and_no_study_is_lost(told: Told) -> None:
    assert told.broken.faults == ()
    assert told.broken.rollout["reason"].startswith("canary-failures failed")
    (metric,) = (one for one in told.broken.rollout["evidence"] if one["metric"] == "canary-failures")
    assert 0 < metric["observed"] <= FORETOLD


def test_what_the_broken_build_answered_is_on_the_recall_list(told: Told, site: RunningSite) -> None:
    def read_again() -> Mapping[str, Any] | None:
        try:
            summary = site.recall(told.broken.rollout["run"])["summary"]
        except ApiError as error:
            if error.code == "recall-not-found":  # the controller looks every few seconds
                return None
            raise
        return summary if summary["studies"] and not summary["pending"] else None

    summary = eventually(read_again, 120, "the champion to have read the recalled studies")
    assert summary["studies"] == told.broken.version_answered
    assert summary["unreadable"] == 0


def test_the_evidence_of_each_act_is_whole_and_names_no_patient(told: Told, site: RunningSite) -> None:
    for played in (told.better, told.worse, told.broken):
        pack = json.dumps(site.pack(played.rollout["run"]))
        assert "PHANTOM" not in pack
        assert '"agrees_with_kept": false' not in pack


def test_mlflow_draws_each_rollout_on_its_candidates_page(told: Told, stack: LiveStack) -> None:
    registry = RegistryClient(stack.settings.registry_url)

    def phase(version: str, *ends: str) -> str | None:
        """The version's tag, which is written beside the rollout and a little later."""
        (found,) = (one.tags["rollout.phase"] for one in registry.versions(MODEL) if one.version == version)
        return found if found in ends else None

    broken_version = told.broken.act.candidate
    assert eventually(lambda: phase(broken_version, "Failed"), 60, "the broken build's tag to say Failed")
    assert eventually(lambda: phase("3", "Failed", "Superseded"), 60, "version 3 to be challenger no more")
    (third,) = (one for one in registry.versions(MODEL) if one.version == "3")
    assert "mlflow" not in third.description.split("\n")[0].lower()
    assert "runs/" in third.description.split("\n")[0]


def test_nothing_of_the_callers_failed(told: Told) -> None:
    failed = sum((each.tally.failed for each in (told.better, told.worse, told.broken)), Tally().failed)
    assert not failed


def test_a_person_puts_the_former_champion_back(told: Told, site: RunningSite, stack: LiveStack) -> None:
    assert site.champion() == BETTER.candidate
    stack.run("rollout", "undo", MODEL)
    eventually(lambda: site.champion() == STABLE or None, 60, "the champion to be the former one")
    run = told.better.rollout["run"]
    eventually(lambda: site.rollout(run)["phase"] == "Failed" or None, 60, "the rollout to have gone back")
    with pytest.raises(CommandFailed, match="rollout-refused"):
        stack.run("rollout", "approve", MODEL, "--role", "radiologist")
