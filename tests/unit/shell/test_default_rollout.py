"""A challenger that no rollout spec names begins a rollout by itself, and what people decide goes before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from canary.gates import GateVerdict, Permission
from canary.rollout.default_plan import DefaultRollout
from canary.rollout.plan import Background, Regulatory
from canary.rollout.status import PauseCause, RolloutPhase
from canary.rollout.verbs import VerbKind
from ledger import Ledger
from serve_apps.control.observe import Observation
from serve_apps.control.rollout_world import Sighting
from tests.unit.canary.rollout.builders import (
    FAILED,
    METRICS,
    MIRROR,
    PROVE,
    RUNNING,
    SUCCESSFUL,
    evidence,
    plan,
)
from tests.unit.shell.rollout_site import MODEL, RolloutSite

NOTHING_YET = evidence(specificity=RUNNING, shadow_failures=RUNNING)
SHOWN = evidence(sensitivity=SUCCESSFUL, specificity=SUCCESSFUL, shadow_failures=SUCCESSFUL)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RolloutSite]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    found = RolloutSite(opened)
    found.default, found.evidence.given = DefaultRollout(), NOTHING_YET
    found.restart()
    yield found
    opened.close()


def test_a_challenger_begins_the_silent_default_once(site: RolloutSite) -> None:
    site.look(3)
    site.restart()
    site.look(2)
    (stored,) = site.ledger.rollouts.newest()
    assert (stored.plan.is_default, stored.status.candidate, stored.status.run) == (True, "2", 1)
    assert stored.status.phase is RolloutPhase.PROGRESSING
    assert site.routing.weight_bp == 0
    assert [row.actor for row in site.ledger.audit.rows()] == ["rollout"]


def test_it_ends_once_it_is_shown_and_approved_and_exposes_nobody(site: RolloutSite) -> None:
    site.look()
    site.evidence.given = SHOWN
    site.look()
    assert site.status.step == 1, "it waits for the approval"
    site.approve()
    site.look(3)
    assert (site.status.phase, site.routing.weight_bp, site.aliases.moves) == (RolloutPhase.COMPLETED, 0, [])
    assert len(site.ledger.rollouts.of_model(MODEL)) == 1, "a silent trial that is over does not begin anew"


def test_without_data_it_holds(site: RolloutSite) -> None:
    site.look(5)
    assert (site.status.phase, site.status.step) == (RolloutPhase.PROGRESSING, 0)
    assert site.status.reason.startswith("waits for")


@pytest.mark.parametrize(
    "names", [{"champion": "1"}, {"challenger": "2"}, {"champion": "2", "challenger": "2"}]
)
def test_nothing_begins_without_two_versions_to_compare(site: RolloutSite, names: dict[str, str]) -> None:
    site.rollouts.look(sighted(site, names))
    assert site.ledger.rollouts.newest() == ()


def sighted(site: RolloutSite, names: dict[str, str], *, answers: bool = True) -> Sighting:
    """What the controller saw, but for the registry's aliases."""
    before = site.sighting()
    registered = {MODEL: replace(before.seen.last_registry[MODEL], aliases=names)}
    state = replace(before.state.of(MODEL), aliases=names)
    seen = Observation(registered if answers else None, registered)
    return replace(before, seen=seen, state=replace(before.state, models={MODEL: state}))


def test_nothing_begins_while_mlflow_is_away_or_the_version_is_not_admitted(site: RolloutSite) -> None:
    aliases = {"champion": "1", "challenger": "2"}
    site.rollouts.look(sighted(site, aliases, answers=False))
    site.rollouts.look(sighted(site, aliases | {"challenger": "9"}))
    assert site.ledger.rollouts.newest() == ()


def test_a_site_may_turn_it_off(site: RolloutSite) -> None:
    site.default = DefaultRollout(begins=False)
    site.restart()
    assert site.look(2) == frozenset()
    assert site.ledger.rollouts.newest() == ()


def test_a_weight_that_a_person_sets_is_obeyed_and_pauses_it(site: RolloutSite) -> None:
    site.look()
    site.ledger.routing.set_weight(MODEL, "2", 700, actor="ris/eve")
    site.look(2)
    assert (site.status.phase, site.status.pause) == (RolloutPhase.PAUSED, PauseCause.BY_HAND)
    assert (site.routing.weight_bp, site.routing.weight_by) == (700, "ris/eve")
    site.evidence.given = None
    site.pass_time(timedelta(hours=1))
    site.look(2)
    assert site.routing.weight_bp == 700, "what is not known forbids a person nothing"
    site.say(VerbKind.RESUME)
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.PROGRESSING, 0)


def test_a_weight_that_stood_before_it_began_is_obeyed(site: RolloutSite) -> None:
    site.ledger.routing.set_weight(MODEL, "2", 700, actor="ris/eve")
    site.look(3)
    assert (site.status.pause, site.routing.weight_bp) == (PauseCause.BY_HAND, 700)


def test_the_gate_forbids_a_person_too(site: RolloutSite) -> None:
    site.look()
    site.gate = GateVerdict(frozenset({Permission.SHADOW}), True, "it was withdrawn")
    site.ledger.routing.set_weight(MODEL, "2", 700, actor="ris/eve")
    site.look()
    assert site.routing.weight_bp == 0
    assert "it was withdrawn" in site.status.reason


def test_a_share_of_the_shadow_that_a_person_sets_stays(site: RolloutSite) -> None:
    site.look()
    site.ledger.routing.set_weight(MODEL, "2", 0, actor="ris/eve")
    site.ledger.routing.set_mirror(MODEL, 1_000, actor="ris/eve")
    site.look(2)
    assert (site.status.phase, site.routing.mirror_bp) == (RolloutPhase.PROGRESSING, 1_000)


def test_harm_in_the_shadow_ends_it_and_it_does_not_begin_anew(site: RolloutSite) -> None:
    site.look()
    site.evidence.given = evidence(shadow_failures=FAILED)
    site.look(4)
    assert (site.status.run, site.status.phase) == (1, RolloutPhase.FAILED)


def test_a_declared_rollout_takes_its_place(site: RolloutSite) -> None:
    site.look()
    assert site.start(plan(MIRROR, PROVE, metrics=METRICS[:1], background=Background()))
    ended = site.ledger.rollouts.events(MODEL, 1)[0]
    assert (ended.after.phase, ended.actor) == (RolloutPhase.SUPERSEDED, "ris/ada")
    assert ended.reason == "ris/ada declared a rollout of version 2"
    site.look(2)
    (declared,) = site.ledger.rollouts.of_model(MODEL)
    assert (declared.status.run, declared.plan.is_default) == (2, False)


def test_a_new_challenger_begins_by_the_silent_plan_that_was_declared_last(site: RolloutSite) -> None:
    site.default = DefaultRollout(begins=False)
    site.restart()
    silent = plan(MIRROR, PROVE, metrics=METRICS[:1], background=Background(), regulatory=Regulatory())
    site.start(silent)
    site.default = DefaultRollout()
    site.restart()
    site.aliases.names["challenger"] = "3"
    site.look(2)
    assert (site.status.candidate, site.ledger.rollouts.of_model(MODEL)[-1].plan) == ("3", silent)


def test_a_plan_that_exposes_patients_is_for_the_version_of_its_change_record(site: RolloutSite) -> None:
    site.start(plan())
    site.aliases.names["challenger"] = "3"
    site.look(2)
    stored = site.ledger.rollouts.of_model(MODEL)[-1]
    assert (stored.status.candidate, stored.plan.is_default, stored.plan.promotes) == ("3", True, False)


def test_a_site_may_let_the_default_expose_patients_under_a_record(site: RolloutSite) -> None:
    site.default = DefaultRollout(live_exposure_allowed=True, change_record="CR-9")
    site.restart()
    site.look()
    site.evidence.given = SHOWN
    site.look()
    site.approve()
    site.look(2)
    assert (site.routing.weight_bp, site.routing.weight_by) == (500, "rollout")
