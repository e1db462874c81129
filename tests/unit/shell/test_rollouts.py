"""Declared rollouts on a site: each look does what is left, in the safe order, whatever happened since the last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from canary.gates import GateVerdict, Permission
from canary.rollout.plan import Background, ExposureBudget, Participants
from canary.rollout.status import PauseCause, RolloutPhase
from canary.rollout.step import SetMirror
from canary.rollout.verbs import VerbKind
from canary.routing_table import AssignmentKey
from canary.slot_text import read_slot
from canary.verdict import Verdict
from core.errors import (
    ExperimentUnderWay,
    LedgerUnavailable,
    RolloutConflict,
    RolloutNotFound,
    RolloutRefused,
)
from ledger import Ledger
from serve_apps.control.rollout_acts import Touched
from tests.unit.canary.rollout.builders import DAY, FAILED, GOOD, METRICS, PROVE, evidence, plan
from tests.unit.shell.rollout_site import DRAIN, MODEL, RolloutSite

ENOUGH = replace(GOOD, studies_by_step={4: 10}, metrics={**GOOD.metrics})
HARM = evidence(canary_failures=FAILED)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def site(ledger: Ledger) -> RolloutSite:
    return RolloutSite(ledger)


def phase_of(site: RolloutSite) -> RolloutPhase:
    return site.status.phase


def at_canary(site: RolloutSite) -> RolloutSite:
    """The rollout has given version 2 its 5 % and waits for studies."""
    site.start()
    site.look()
    site.approve()
    site.look(2)
    assert (site.status.step, site.routing.weight_bp, site.routing.version) == (4, 500, "2")
    return site


def at_promotion(site: RolloutSite) -> RolloutSite:
    """All steps are done, the weight is 100 %, and the aliases are still to be moved."""
    at_canary(site).evidence.given = ENOUGH
    site.look()
    site.pass_time(DAY)
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.PROGRESSING, 10_000)
    return site


def test_a_rollout_goes_all_the_way_by_looks_alone(site: RolloutSite) -> None:
    at_promotion(site)
    site.look()
    assert phase_of(site) is RolloutPhase.PROMOTING
    assert site.aliases.moves == [("champion-previous", "1"), ("champion", "2")]
    site.look()
    site.pass_time(DRAIN)
    site.look(2)
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.SURVEILLING, 0)
    moved = {(one.alias, one.old, one.new) for one in site.ledger.transitions.history(MODEL)}
    assert moved == {("champion", "1", "2"), ("champion-previous", None, "1")}
    actors = {row.actor for row in site.ledger.audit.rows()}
    assert actors == {"ris/ada", "ris/bob", "rollout"}
    assert site.ledger.audit.first_broken() is None


def test_without_evidence_nothing_moves(site: RolloutSite) -> None:
    site.start()
    for given, error in ((None, None), (GOOD, ZeroDivisionError())):
        site.evidence.given, site.evidence.error = given, error
        site.look(3)
        assert (site.status.step, site.routing.weight_bp) == (0, 0)
        assert "nothing is known of the evidence" in site.status.reason
    assert not site.aliases.moves


def test_a_second_look_at_the_same_present_changes_nothing(site: RolloutSite) -> None:
    at_canary(site)
    site.look()
    before = site.ledger.rollouts.newest(), site.routing, len(site.ledger.audit.rows(limit=1_000))
    assert site.look(2) == frozenset()
    assert (site.ledger.rollouts.newest(), site.routing, len(site.ledger.audit.rows(limit=1_000))) == before


def test_who_was_killed_after_writing_is_made_up_for(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start()
    site.look()
    site.approve()
    with monkeypatch.context() as killed:
        killed.setattr(site.ledger.routing, "set_weight", _away)
        site.look()
    assert (site.status.weight_bp, site.routing.weight_bp) == (500, 0)
    site.restart()
    assert site.look() == {Touched.ROUTING}
    assert site.routing.weight_bp == 500


def test_who_was_killed_before_writing_a_rollback_has_taken_the_weight_away(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_canary(site).evidence.given = HARM
    with monkeypatch.context() as killed:
        killed.setattr(site.ledger.rollouts, "move", _away)
        assert site.look() == {Touched.ROUTING}
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.PROGRESSING, 0)
    site.restart()
    site.look(2)
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.FAILED, 0)


def test_a_look_that_somebody_was_faster_than_raises_nothing(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start()
    site.look()
    site.approve()
    newest = site.ledger.rollouts.newest()
    site.say(VerbKind.PAUSE)
    with monkeypatch.context() as stale:
        stale.setattr(site.ledger.rollouts, "newest", lambda: newest)
        assert site.look() == frozenset()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.PAUSED, 0)


def test_a_verb_that_somebody_was_faster_than_is_refused(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start()
    stale = site.ledger.rollouts.of_model(MODEL)
    site.look()
    monkeypatch.setattr(site.ledger.rollouts, "of_model", lambda model: stale)
    with pytest.raises(RolloutConflict):
        site.say(VerbKind.PAUSE)


def test_a_weight_that_somebody_set_between_look_and_act_stays(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.start()
    site.look()
    site.approve()
    decided = site.ledger.routing.all()
    site.ledger.routing.set_weight(MODEL, "2", 100, actor="ris/eve")
    with monkeypatch.context() as stale:
        stale.setattr(site.ledger.routing, "all", lambda: decided)
        site.restart()
        site.look()
    assert site.routing.weight_bp == 100
    site.restart()
    site.look()
    assert (site.status.phase, site.status.pause) == (RolloutPhase.PAUSED, PauseCause.BY_HAND)
    assert site.routing.weight_bp == 100, "a person is obeyed"
    site.say(VerbKind.RESUME)
    site.look()
    assert (site.routing.weight_bp, site.routing.weight_by) == (500, "rollout")


def test_mlflow_away_during_the_promotion_is_waited_for(site: RolloutSite) -> None:
    at_promotion(site).aliases.away = True
    site.look(3)
    assert (site.status.phase, site.aliases.moves) == (RolloutPhase.PROGRESSING, [])
    assert "MLflow does not answer" in site.status.reason
    site.aliases.away = False
    site.look()
    assert site.aliases.names["champion"] == "2"


def test_mlflow_that_fails_between_the_two_aliases_gets_the_second_later(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_promotion(site)
    real = site.aliases.move_alias

    def half(name: str, alias: str, expected: str | None, version: str) -> bool:
        if alias == "champion":
            site.aliases.away = True
        return real(name, alias, expected, version)

    with monkeypatch.context() as broken:
        broken.setattr(site.aliases, "move_alias", half)
        assert site.look() == {Touched.ALIASES}
    assert (site.aliases.names["champion"], site.aliases.names["champion-previous"]) == ("1", "1")
    site.look()
    site.aliases.away = False
    site.look()
    assert site.aliases.moves == [("champion-previous", "1"), ("champion", "2")]


def test_a_champion_that_was_moved_by_hand_supersedes_and_the_weight_goes(site: RolloutSite) -> None:
    at_canary(site).aliases.names["champion"] = "3"
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.SUPERSEDED, 0)
    assert site.aliases.moves == []


def test_a_champion_that_moves_between_look_and_act_is_not_overwritten(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_promotion(site)
    sighting = site.sighting()
    site.aliases.names["champion"] = "3"
    site.rollouts.look(sighting)
    assert site.aliases.names["champion"] == "3"
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.SUPERSEDED, 0)


def test_a_freeze_holds_and_harm_still_takes_the_weight_away(site: RolloutSite) -> None:
    at_canary(site).is_frozen = True
    site.evidence.given = ENOUGH
    site.look(2)
    assert (site.status.step, site.status.reason) == (4, "holds: the site is frozen")
    site.evidence.given = HARM
    site.look(2)
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.FAILED, 0)


def test_a_weight_for_what_failed_is_taken_away_at_the_next_look_until_a_person_retries_it(
    site: RolloutSite,
) -> None:
    at_canary(site).evidence.given = HARM
    site.look(3)
    site.ledger.routing.set_weight(MODEL, "2", 900, actor="ris/eve")
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.FAILED, 0)
    site.evidence.given = GOOD
    site.say(VerbKind.RETRY)
    assert (site.status.run, site.status.phase) == (2, RolloutPhase.PROGRESSING)


def test_a_weight_by_hand_after_a_rollout_that_was_superseded_is_left_alone(site: RolloutSite) -> None:
    at_canary(site).aliases.names.pop("challenger")
    site.look()
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.SUPERSEDED, 0)
    site.aliases.names["challenger"] = "2"
    site.ledger.routing.set_weight(MODEL, "2", 300, actor="ris/eve")
    assert site.look(2) == frozenset()
    assert site.routing.weight_bp == 300


def test_the_gate_takes_the_weight_away(site: RolloutSite) -> None:
    at_canary(site).gate = GateVerdict(frozenset({Permission.SHADOW}), True, "it was withdrawn")
    site.look()
    assert site.routing.weight_bp == 0
    assert "it was withdrawn" in site.status.reason


def test_a_weight_counts_only_once_readings_under_its_table_show_it(site: RolloutSite) -> None:
    site.start()
    site.look()
    site.approve()
    site.plane = Verdict.INCONCLUSIVE
    site.look(3)
    assert (site.status.step, site.routing.weight_bp) == (3, 500)
    site.plane = Verdict.SUCCESSFUL
    site.look()
    assert site.status.step == 4


def test_a_mirror_is_set_for_the_candidate_and_leaves_with_it(site: RolloutSite) -> None:
    silent = plan(SetMirror(2_500), PROVE, metrics=METRICS[:1], background=Background())
    site.start(silent)
    site.look()
    assert (site.routing.version, site.routing.weight_bp, site.routing.mirror_bp) == ("2", 0, 2_500)
    site.look(2)
    assert phase_of(site) is RolloutPhase.COMPLETED
    site.ledger.routing.set_weight(MODEL, "3", 100, actor="ris/eve")
    assert site.routing.mirror_bp == 10_000


def test_the_failure_of_one_model_stops_no_other(site: RolloutSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.start()
    other = replace(site.status, model="another")
    site.ledger.rollouts.begin(plan(model="another"), other, actor="ris/ada")
    real = site.ledger.rollouts.approvals

    def broken(model: str, run: int) -> Any:
        if model == "another":
            raise ZeroDivisionError
        return real(model, run)

    monkeypatch.setattr(site.ledger.rollouts, "approvals", broken)
    site.look()
    assert site.status.step == 2


def test_nothing_begins_by_itself(site: RolloutSite) -> None:
    assert site.look(3) == frozenset()
    assert site.ledger.rollouts.newest() == ()
    with pytest.raises(RolloutNotFound):
        site.say(VerbKind.PAUSE)


def test_a_start_needs_a_challenger_and_happens_once(site: RolloutSite) -> None:
    site.aliases.names.pop("challenger")
    with pytest.raises(RolloutRefused, match="no version is challenger"):
        site.start()
    site.aliases.names["challenger"] = "2"
    assert (site.start(), site.start()) == (True, False)
    assert len(site.ledger.rollouts.events(MODEL, 1)) == 1


def test_a_plan_under_way_changes_only_where_it_may(site: RolloutSite) -> None:
    site.start()
    larger = plan(budget=ExposureBudget(studies=300))
    assert not site.start(larger)
    assert site.ledger.rollouts.of_model(MODEL)[-1].plan == larger
    with pytest.raises(RolloutRefused, match="no step changes after the start"):
        site.start(plan(SetMirror(2_500), PROVE, metrics=METRICS[:1], background=Background()))


def test_a_person_may_start_what_failed_with_another_plan(site: RolloutSite) -> None:
    at_canary(site).evidence.given = HARM
    site.look(3)
    site.evidence.given = GOOD
    assert site.start(plan(budget=ExposureBudget(studies=300)))
    assert (site.status.run, site.status.reason.endswith("ris/ada started it")) == (2, True)


def test_an_abort_takes_the_weight_away_before_it_is_written(site: RolloutSite) -> None:
    assert at_canary(site).say(VerbKind.ABORT, note="a scanner was replaced") == {Touched.ROUTING}
    assert (site.status.phase, site.routing.weight_bp) == (RolloutPhase.ROLLING_BACK, 0)
    site.look()
    assert (site.status.phase, site.status.reason) == (
        RolloutPhase.FAILED,
        "ris/ada aborted it: a scanner was replaced",
    )


def test_a_verb_that_may_not_be_says_why(site: RolloutSite) -> None:
    site.start()
    with pytest.raises(RolloutRefused, match="waits for no approval"):
        site.approve()


def test_an_undo_leads_back_to_the_former_champion(site: RolloutSite) -> None:
    at_promotion(site)
    site.look(2)
    site.pass_time(DRAIN)
    site.look(2)
    assert phase_of(site) is RolloutPhase.SURVEILLING
    site.say(VerbKind.UNDO)
    assert site.aliases.names["champion"] == "1"
    site.look(2)
    assert phase_of(site) is RolloutPhase.FAILED


def test_a_restarted_controller_counts_the_drain_anew(site: RolloutSite) -> None:
    at_promotion(site)
    site.look(2)
    site.pass_time(DRAIN - timedelta(seconds=1))
    site.look()
    assert phase_of(site) is RolloutPhase.PROMOTING
    site.pass_time(timedelta(seconds=1))
    site.look()
    assert phase_of(site) is RolloutPhase.SURVEILLING


def _away(*_: object, **__: object) -> Any:
    raise LedgerUnavailable("the ledger's database does not answer")


def test_a_site_that_declares_nothing_is_asked_nothing(
    site: RolloutSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(type(site.ledger.routing), "all", lambda _: asked.append("routing") or {})
    site.restart()
    site.look(3)
    assert asked == []
    site.start()
    site.look()
    assert asked != []


# ---- who takes part

READING = read_slot("reading:0-50")


def test_a_slot_of_a_layer_is_granted_before_the_first_patient_and_stays_in_the_audit(
    site: RolloutSite,
) -> None:
    site.start(plan(participants=Participants(slot="reading:0-50")))
    site.look()
    assert site.routing.slot is None, "nobody is drawn yet"
    site.approve()
    site.look()
    assert (site.routing.slot, site.routing.weight_bp) == (READING, 500)
    granted = [
        row.action for row in site.ledger.audit.rows() if row.actor == "rollout" and "route" in row.action
    ]
    assert granted == ["route-weight", "route-layer"], "the newest first"


def test_a_slot_that_an_ab_test_has_gets_nobody(site: RolloutSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object, **__: object) -> Any:
        raise ExperimentUnderWay("an A/B test of this model is running")

    site.start(plan(participants=Participants(slot="reading:0-50")))
    site.look()
    site.approve()
    monkeypatch.setattr(site.ledger.routing, "set_slot", taken)
    site.look(2)
    assert (site.routing.slot, site.routing.weight_bp) == (None, 0)


def test_a_plan_that_draws_by_what_the_site_does_not_is_refused(site: RolloutSite) -> None:
    with pytest.raises(RolloutRefused, match="the plan draws by study, and this site by patient"):
        site.start(plan(participants=Participants(AssignmentKey.STUDY)))
