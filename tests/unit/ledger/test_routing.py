"""What people set about traffic: audited in the same breath, and a raise moves nobody back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from canary.assignment import StudyFacts, assign
from canary.observation import ABView
from canary.routing_table import AssignmentKey, Rule, Slot
from core.errors import ExperimentUnderWay, InvalidField, RoutingConflict
from ledger import AuditRow, Ledger, ModelRouting, Pin
from ledger.audit import Audit
from ledger.routing import Routing
from ledger.routing_records import document_of, routing_of
from tests.unit.ledger.conftest import NOON, PRINTABLE
from tests.unit.ledger.routed import table

WHO: dict[str, Any] = {"actor": "alice"}
WITH_LEDGER = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = st.text(PRINTABLE, min_size=1, max_size=8)
SHARES_BP = st.integers(0, 10_000)
RULES = st.builds(Rule, name=NAMES, variant=NAMES, sites=st.lists(NAMES, min_size=1, max_size=2).map(tuple))
PINS = st.builds(Pin, key=NAMES, variant=NAMES, actor=NAMES, at=st.just(NOON))
TESTS = st.builds(
    ABView,
    salt=NAMES,
    weights_bp=st.integers(1, 9_999).map(lambda a: {"arm-a": a, "arm-b": 10_000 - a}),
    coverage_bp=SHARES_BP,
    slot=st.none() | st.just(Slot("layer", "salt", 0, 5_000)),
)
ROUTINGS = st.builds(
    ModelRouting,
    model=NAMES,
    version=st.just("2"),
    weight_bp=SHARES_BP,
    salts=st.just({"2": "s", "3": "t"}),
    mirror_bp=SHARES_BP,
    shadow_bp=st.dictionaries(NAMES, SHARES_BP, max_size=3),
    safety_net_bp=SHARES_BP,
    pins=st.lists(PINS, max_size=3).map(tuple),
    rules=st.lists(RULES, max_size=3).map(tuple),
    ab=st.none() | TESTS,
    slot=st.none() | st.just(Slot("layer", "salt", 5_000, 10_000)),
    in_advance=st.dictionaries(NAMES, st.just(NOON), max_size=2),
    changed_at=st.just(NOON),
    revision=st.integers(1, 9),
)


def test_a_model_that_nobody_touched_has_the_defaults(ledger: Ledger) -> None:
    untouched = ledger.routing.get("ich")
    assert (untouched.weight_bp, untouched.mirror_bp, untouched.safety_net_bp) == (0, 10_000, 10_000)
    assert untouched.rollout is None
    assert (ledger.routing.all(), ledger.routing.frozen(), ledger.routing.revision()) == ({}, None, 0)


@given(routing=ROUTINGS)
def test_what_was_set_comes_back_as_it_was(routing: ModelRouting) -> None:
    kept = json.loads(json.dumps(document_of(routing)))
    row = {"model": routing.model, "revision": routing.revision, "changed_at": routing.changed_at}
    assert routing_of(row | {"document": kept}) == routing


@WITH_LEDGER
@given(desired=st.lists(st.tuples(st.sampled_from("234"), SHARES_BP), min_size=1, max_size=6))
def test_a_version_keeps_its_salt_while_its_candidacy_lasts_and_shares_it_with_none(
    ledger: Ledger, desired: list[tuple[str, int]]
) -> None:
    model = uuid4().hex
    salts: dict[str, str] = {}
    for version, weight_bp in desired:
        routing = ledger.routing.set_weight(model, version, weight_bp, **WHO)
        assert routing.salt == salts.setdefault(version, routing.salt)
        assert routing == ledger.routing.get(model)
    assert len(set(salts.values())) == len(salts)


@WITH_LEDGER
@given(
    low=SHARES_BP, high=SHARES_BP, patients=st.sets(st.text(PRINTABLE, min_size=1, max_size=6), max_size=30)
)
def test_a_raise_moves_nobody_back(ledger: Ledger, low: int, high: int, patients: set[str]) -> None:
    low, high = sorted((low, high))
    first = ledger.routing.set_weight("ich", "2", low, **WHO)
    raised = ledger.routing.set_weight("ich", "2", high, **WHO)
    for patient in patients:
        facts = StudyFacts("s", patient)
        was, now = (assign(facts, table(r.weight_bp, salt=r.salt)).arm for r in (first, raised))
        assert was != "canary" or now == "canary"


def test_each_change_has_its_audit_row_and_a_higher_revision(ledger: Ledger) -> None:
    routing = ledger.routing
    changes = (
        lambda: routing.set_weight("ich", "2", 500, **WHO),
        lambda: routing.set_mirror("ich", 5_000, **WHO),
        lambda: routing.set_shadow("ich", "shadow-next", 2_000, **WHO),
        lambda: routing.set_safety_net("ich", 5_000, **WHO),
        lambda: routing.set_rules("ich", [Rule("r", "canary", sites=("north",))], **WHO),
        lambda: routing.pin("ich", "k", "canary", **WHO),
        lambda: routing.unpin("ich", "k", **WHO),
        lambda: routing.set_weight("ich", "2", 0, **WHO),
        lambda: routing.set_ab("ich", {"arm-a": 5_000, "arm-b": 5_000}, **WHO),
        lambda: routing.end_ab("ich", **WHO),
        lambda: routing.freeze(reason="odd reports", **WHO),
        lambda: routing.unfreeze(**WHO),
    )
    for number, change in enumerate(changes, start=1):
        change()
        assert (routing.revision(), len(ledger.audit.rows())) == (number, number)
    assert {row.actor for row in ledger.audit.rows()} == {"alice"}
    assert ledger.audit.first_broken() is None


def test_the_audit_tells_what_was_asked_and_what_stood_there(ledger: Ledger) -> None:
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    ledger.routing.set_weight("ich", "2", 5_000, **WHO)
    row = ledger.audit.rows(subject="ich")[0]
    assert (row.action, row.detail) == (
        "route-weight",
        {"version": "2", "weight_bp": 5_000, "was": {"version": "2", "weight_bp": 500}},
    )


def test_the_same_wish_again_leaves_no_trace(ledger: Ledger) -> None:
    later: dict[str, Any] = {"actor": "bob"}
    for who in (WHO, later):
        ledger.routing.set_weight("ich", "2", 500, **who)
        ledger.routing.pin("ich", "k", "canary", **who)
        ledger.routing.unpin("ich", "unknown", **who)
        ledger.routing.end_ab("ich", **who)
        ledger.routing.unfreeze(**who)
    assert (ledger.routing.revision(), len(ledger.audit.rows())) == (2, 2)


class SilentAudit(Audit):
    """Cannot write."""

    def append_within(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any],
    ) -> AuditRow:
        raise OSError("the disk is full")


def test_what_cannot_be_audited_does_not_happen(ledger: Ledger) -> None:
    unheard = Routing(ledger.database, SilentAudit(ledger.database))
    with pytest.raises(OSError, match="full"):
        unheard.set_weight("ich", "2", 500, **WHO)
    with pytest.raises(OSError, match="full"):
        unheard.freeze(reason="odd reports", **WHO)
    assert (ledger.routing.get("ich").weight_bp, ledger.routing.frozen(), ledger.routing.revision()) == (
        0,
        None,
        0,
    )


@pytest.mark.parametrize("weight_bp", [-1, 10_001])
def test_a_weight_out_of_its_range_is_refused_and_nothing_written(ledger: Ledger, weight_bp: int) -> None:
    with pytest.raises(ValueError, match="basis points"):
        ledger.routing.set_weight("ich", "2", weight_bp, **WHO)
    with pytest.raises(ValueError, match="basis points"):
        ledger.routing.set_shadow("ich", "shadow-next", weight_bp, **WHO)
    assert (ledger.routing.revision(), ledger.audit.rows()) == (0, ())


def test_one_model_s_change_leaves_the_others_alone(ledger: Ledger) -> None:
    first = ledger.routing.set_weight("ich", "2", 500, **WHO)
    ledger.routing.set_weight("chest", "7", 100, **WHO)
    assert ledger.routing.all()["ich"] == first
    assert sorted(ledger.routing.all()) == ["chest", "ich"]


def test_a_key_has_one_pin_the_last(ledger: Ledger) -> None:
    ledger.routing.pin("ich", "k", "canary", **WHO)
    ledger.routing.pin("ich", "other", "canary", **WHO)
    pinned = ledger.routing.pin("ich", "k", "champion", **WHO)
    assert {pin.key: pin.variant for pin in pinned.pins} == {"other": "canary", "k": "champion"}
    assert [pin.key for pin in ledger.routing.unpin("ich", "k", **WHO).pins] == ["other"]


def test_a_pin_goes_before_any_rule(ledger: Ledger) -> None:
    ledger.routing.set_rules("ich", [Rule("north", "canary", sites=("north",))], **WHO)
    site = ledger.routing.pin("ich", "k", "champion", **WHO).site(AssignmentKey.PATIENT, frozen=False)
    ruled = replace(table(0), rules=site.rules)
    assert assign(StudyFacts("s", "k", site="north"), ruled).arm == "champion"
    assert assign(StudyFacts("s", "x", site="north"), ruled).arm == "canary"


def test_an_ab_test_keeps_its_salt_while_it_is_opened_wider_and_other_weights_are_another(
    ledger: Ledger,
) -> None:
    half = {"arm-a": 5_000, "arm-b": 5_000}
    first = ledger.routing.set_ab("ich", half, coverage_bp=1_000, **WHO).ab
    wider = ledger.routing.set_ab("ich", half, coverage_bp=10_000, **WHO).ab
    other = ledger.routing.set_ab("ich", {"arm-a": 2_000, "arm-b": 8_000}, **WHO).ab
    assert first is not None
    assert wider is not None
    assert other is not None
    assert first.salt == wider.salt != other.salt
    assert ledger.routing.end_ab("ich", **WHO).ab is None


def test_a_freeze_is_for_all_models_and_tells_who_and_why(ledger: Ledger, ledger_url: str) -> None:
    thrown = ledger.routing.freeze(reason="odd reports", **WHO)
    ledger.routing.set_weight("ich", "2", 500, **WHO)  # noted, and in force after the thaw
    other = Ledger.open(ledger_url)
    assert other.routing.frozen() == thrown
    other.routing.unfreeze(**WHO)
    other.close()
    assert ledger.routing.frozen() is None
    assert [row.action for row in ledger.audit.rows(subject="site")] == ["unfreeze", "freeze"]


def test_a_rollout_and_an_ab_test_exclude_each_other_and_the_refused_leaves_no_trace(ledger: Ledger) -> None:
    arms = {"arm-a": 5_000, "arm-b": 5_000}
    ledger.routing.set_ab("ich", arms, **WHO)
    with pytest.raises(ExperimentUnderWay):
        ledger.routing.set_weight("ich", "2", 500, **WHO)
    assert ledger.routing.set_weight("ich", "2", 0, **WHO).ab is not None, "a stop is never refused"
    ledger.routing.end_ab("ich", **WHO)
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    revision = ledger.routing.revision()
    with pytest.raises(ExperimentUnderWay):
        ledger.routing.set_ab("ich", arms, **WHO)
    assert ledger.routing.revision() == revision


LOW = Slot("reading", "layer/reading", 0, 5_000)
HIGH, MIDDLE = replace(LOW, start=5_000, stop=10_000), replace(LOW, start=4_000, stop=6_000)
ARMS = {"arm-a": 5_000, "arm-b": 5_000}


def test_a_rollout_and_an_ab_test_run_beside_each_other_in_slots_that_share_no_patient(
    ledger: Ledger,
) -> None:
    ledger.routing.set_slot("ich", LOW, **WHO)
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    both = ledger.routing.set_ab("ich", ARMS, slot=HIGH, **WHO)
    assert (both.weight_bp, both.ab is not None) == (500, True)
    assert both.rollout is not None
    assert both.rollout.slot == LOW
    assert ledger.routing.set_weight("ich", "2", 1_000, **WHO).salt == both.salt, "a raise moves nobody"
    assert ledger.audit.rows(subject="ich")[-1].detail["slot"] == {
        "layer": "reading",
        "start": 0,
        "stop": 5_000,
    }


@pytest.mark.parametrize("slot", [None, MIDDLE, replace(HIGH, layer="other", salt="layer/other")])
def test_slots_that_overlap_are_refused_and_named(ledger: Ledger, slot: Slot | None) -> None:
    ledger.routing.set_slot("ich", LOW, **WHO)
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    revision = ledger.routing.revision()
    with pytest.raises(ExperimentUnderWay) as refused:
        ledger.routing.set_ab("ich", ARMS, slot=slot, **WHO)
    assert f"the rollout has reading 0 to 50 %, the test {slot or 'all patients'}" in refused.value.detail
    assert ledger.routing.revision() == revision


def test_a_rollouts_slot_may_not_reach_into_that_of_a_test(ledger: Ledger) -> None:
    ledger.routing.set_ab("ich", ARMS, slot=HIGH, **WHO)
    with pytest.raises(ExperimentUnderWay, match="the rollout has reading 40 to 60 %"):
        ledger.routing.set_slot("ich", MIDDLE, **WHO)
    with pytest.raises(ExperimentUnderWay, match="all patients"):
        ledger.routing.set_weight("ich", "2", 500, **WHO)
    assert ledger.routing.set_slot("ich", LOW, **WHO).slot == LOW


@pytest.mark.parametrize(("slot", "fits"), [(MIDDLE, False), (HIGH, False), (LOW, True), (None, True)])
def test_under_a_weight_a_slot_only_widens(ledger: Ledger, slot: Slot | None, fits: bool) -> None:
    """No patient who had the version loses it, without its weight being set to 0 first."""
    ledger.routing.set_slot("ich", replace(LOW, stop=2_000), **WHO)
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    if fits:
        assert ledger.routing.set_slot("ich", slot, **WHO).slot == slot
        return
    with pytest.raises(
        ExperimentUnderWay, match="to 0 first, or choose a slot that contains reading 0 to 20 %"
    ):
        ledger.routing.set_slot("ich", slot, **WHO)
    ledger.routing.set_weight("ich", "2", 0, **WHO)
    assert ledger.routing.set_slot("ich", slot, **WHO).slot == slot


@given(patients=st.sets(st.text(PRINTABLE, min_size=1, max_size=6), min_size=5, max_size=30))
@WITH_LEDGER
def test_a_weight_that_is_corrected_moves_no_patient(ledger: Ledger, patients: set[str]) -> None:
    """Given to version 99 by mistake, and back."""
    model = uuid4().hex
    first = ledger.routing.set_weight(model, "2", 5_000, **WHO)
    ledger.routing.set_weight(model, "99", 5_000, **WHO)
    corrected = ledger.routing.set_weight(model, "2", 5_000, **WHO)
    for patient in patients:
        facts = StudyFacts("s", patient)
        was, now = (assign(facts, table(5_000, salt=r.salt)).arm for r in (first, corrected))
        assert was == now


def test_another_candidacy_of_the_same_version_draws_anew(ledger: Ledger) -> None:
    first = ledger.routing.set_weight("ich", "2", 5_000, **WHO)
    assert ledger.routing.end_candidacy("ich", "2", first.revision)
    ended = ledger.routing.get("ich")
    assert (ended.version, ended.weight_bp, ended.rollout, ended.salts) == (None, 0, None, {})
    assert ledger.routing.set_weight("ich", "2", 5_000, **WHO).salt != first.salt
    assert ledger.audit.rows()[1].actor == "controller"


def test_the_controller_s_reset_overwrites_no_newer_decision(ledger: Ledger) -> None:
    seen = ledger.routing.set_weight("ich", "2", 500, **WHO)
    decided = ledger.routing.set_weight("ich", "3", 1_000, **WHO)
    assert not ledger.routing.end_candidacy("ich", "2", seen.revision)
    assert ledger.routing.get("ich") == decided


def test_a_candidacy_that_ends_takes_no_weight_from_another_version(ledger: Ledger) -> None:
    ledger.routing.set_weight("ich", "2", 500, **WHO)
    third = ledger.routing.set_weight("ich", "3", 1_000, **WHO)
    assert ledger.routing.end_candidacy("ich", "2", third.revision)
    after_it = ledger.routing.get("ich")
    assert (after_it.version, after_it.weight_bp, set(after_it.salts)) == ("3", 1_000, {"3"})


def test_who_decides_on_what_is_not_there_any_more_is_told(ledger: Ledger) -> None:
    seen = ledger.routing.set_weight("ich", "2", 500, **WHO)
    ledger.routing.set_safety_net("ich", 0, **WHO)
    with pytest.raises(RoutingConflict):
        ledger.routing.set_weight("ich", "2", 1_000, expected_revision=seen.revision, **WHO)
    newest = ledger.routing.get("ich")
    assert newest.weight_bp == 500
    ledger.routing.set_weight("ich", "2", 1_000, expected_revision=newest.revision, **WHO)
    ledger.routing.set_weight("chest", "1", 1_000, expected_revision=0, **WHO)


def test_what_is_asked_for_in_advance_expires_unless_it_arrives(ledger: Ledger) -> None:
    until = NOON + timedelta(hours=1)
    ledger.routing.set_weight("ich", "9", 500, in_advance_until=until, **WHO)
    ledger.routing.set_shadow("ich", "shadow-a", 500, in_advance_until=until, **WHO)
    ledger.routing.pin("ich", "k", "arm-x", in_advance_until=until, **WHO)
    rule = Rule("r", "arm-x", sites=("north",))
    routing = ledger.routing.set_rules("ich", [rule], in_advance_until=until, **WHO)
    assert set(routing.in_advance) == {"weight", "shadow/shadow-a", "pin/k", "rules"}
    assert ledger.routing.get("ich") == routing, "the expiry is stored with it"
    assert routing.in_force(until - timedelta(seconds=1)) == routing
    expired = routing.in_force(until)
    assert (expired.weight_bp, expired.shadow_bp, expired.pins, expired.rules) == (0, {}, (), ())
    assert "in_advance_until" in ledger.audit.rows()[0].detail
    arrived = ledger.routing.arrived("ich", ["weight", "rules"])
    assert arrived.in_force(until).weight_bp == 500
    assert arrived.in_force(until).rules == (rule,)
    assert ledger.routing.set_shadow("ich", "shadow-a", 500, **WHO).in_force(until).shadow_bp == {
        "shadow-a": 500
    }


def test_a_freeze_tells_the_revision_from_which_it_holds(ledger: Ledger) -> None:
    before = ledger.routing.revision()
    thrown = ledger.routing.freeze(reason="odd reports", **WHO)
    assert thrown.revision == ledger.routing.revision() == before + 1
    assert ledger.routing.unfreeze(**WHO) == before + 2
    assert ledger.routing.unfreeze(**WHO) == before + 2, "nothing changed"


def test_a_name_that_is_too_long_is_refused_by_name_and_nothing_written(ledger: Ledger) -> None:
    for change in (
        lambda: ledger.routing.set_weight("m" * 65, "2", 500, **WHO),
        lambda: ledger.routing.set_weight("ich", "2" * 65, 500, **WHO),
        lambda: ledger.routing.set_weight("ich", "2", 500, actor="a" * 129),
    ):
        with pytest.raises(InvalidField):
            change()
    assert (ledger.routing.revision(), ledger.audit.rows()) == (0, ())


def test_a_weight_tells_who_set_it_and_the_same_again_is_nobodys_decision(ledger: Ledger) -> None:
    routing = ledger.routing
    first = routing.set_weight("ich", "2", 500, actor="alice")
    assert (first.weight_by, first.weight_number) == ("alice", 1)
    assert routing.set_weight("ich", "2", 500, actor="rollout") == first
    raised = routing.set_weight("ich", "2", 900, actor="rollout")
    assert (raised.weight_by, raised.weight_number) == ("rollout", 2)


def test_the_share_of_a_shadow_goes_with_its_candidate(ledger: Ledger) -> None:
    routing = ledger.routing
    routing.set_weight("ich", "2", 500, **WHO)
    routing.set_mirror("ich", 2_500, **WHO)
    assert routing.set_weight("ich", "2", 900, **WHO).mirror_bp == 2_500
    assert routing.set_weight("ich", "3", 0, **WHO).mirror_bp == 10_000
