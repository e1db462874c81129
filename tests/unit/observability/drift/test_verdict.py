"""An alarm takes evidence, effect, and a consequence that cannot be excluded; it says where and by which bins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.codec import from_json, to_json
from observability.drift.counters import Tally
from observability.drift.expected import OperatingPoint
from observability.drift.reference import ArmingRule
from observability.drift.signals import SignalGroup
from observability.drift.tree import node_weights, smallest_subtrees
from observability.drift.verdict import DriftPlan, DriftState, DriftVerdict, judge
from tests.unit.observability.drift.sites import (
    BEGINS,
    MOVED,
    SCANNER_A,
    SCANNER_B,
    SHARES,
    drawn,
    known_site,
    reference_of,
)

PLAN = DriftPlan(arl_slices=3_650)
LAST = BEGINS + 19
WATCHED = range(BEGINS, LAST + 1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_261_201)


def test_a_site_as_ever_is_quiet(rng: np.random.Generator) -> None:
    verdict = judge(known_site(rng), drawn(rng, WATCHED), LAST, PLAN)
    assert verdict.state is DriftState.NO_EVIDENCE
    assert verdict.sentence.startswith("No drift in 6 watched signals over 20 slices")
    assert len(verdict.trajectory) == 20


def test_studies_that_moved_alarm_and_the_verdict_says_which_bin_carries_it(rng: np.random.Generator) -> None:
    tally = drawn(rng, range(BEGINS, BEGINS + 10)) + drawn(rng, range(BEGINS + 10, LAST + 1), MOVED)
    verdict = judge(known_site(rng), tally, LAST, PLAN)
    assert verdict.state is DriftState.ALARM
    top = verdict.findings[0]
    assert (top.signal, top.group, top.since) == ("spacing", SignalGroup.ACQUISITION, BEGINS + 10)
    assert top.effect.bins[0].label == "≥ 4 mm"
    assert top.effect.shift == pytest.approx(0.6, abs=0.15)
    assert verdict.reached_at in range(BEGINS + 10, BEGINS + 14)
    assert "what it does to sensitivity and PPV is not known" in verdict.sentence


def test_the_scanner_is_named_that_drifted_and_not_its_site(rng: np.random.Generator) -> None:
    leaves = (SCANNER_A, SCANNER_B)
    tally = drawn(rng, WATCHED, SHARES, SCANNER_A) + drawn(rng, WATCHED, MOVED, SCANNER_B)
    verdict = judge(known_site(rng, leaves), tally, LAST, PLAN)
    assert verdict.subtrees == (SCANNER_B,)
    assert {finding.node for finding in verdict.findings} == {SCANNER_B}
    assert "north / b" in verdict.sentence


def test_the_site_is_named_when_what_drifted_has_too_few_studies_of_its_own(rng: np.random.Generator) -> None:
    small = [("north", f"small-{number}") for number in range(30)]
    known, seen = drawn(rng, range(40)), Tally()
    for leaf in small:
        known += drawn(rng, range(40), leaf=leaf, studies=2)
        seen += drawn(rng, WATCHED, MOVED, leaf, studies=2)
    verdict = judge(reference_of(known), seen + drawn(rng, WATCHED), LAST, PLAN)
    assert verdict.subtrees == (("north",),)


def test_a_drift_that_changes_no_answer_is_watched(rng: np.random.Generator) -> None:
    point = OperatingPoint("score", 2, probability=(0.01, 0.1, 0.5, 0.9))
    plan = replace(PLAN, operating_point=point, least_change=0.15)
    verdict = judge(known_site(rng), drawn(rng, WATCHED, MOVED), LAST, plan)
    assert verdict.state is DriftState.WATCH
    assert "with little to follow; expected from the scores alone: sensitivity" in verdict.sentence


def test_a_drift_too_small_to_act_on_is_watched(rng: np.random.Generator) -> None:
    verdict = judge(known_site(rng), drawn(rng, WATCHED, MOVED), LAST, replace(PLAN, least_psi=5.0))
    assert verdict.state is DriftState.WATCH
    assert verdict.sentence.endswith("which is too little to act on.")


def test_an_alarm_stays_until_a_person_has_looked(rng: np.random.Generator) -> None:
    tally = drawn(rng, range(BEGINS, BEGINS + 4), MOVED) + drawn(rng, range(BEGINS + 4, BEGINS + 120))
    reference, until = known_site(rng), BEGINS + 119
    later = judge(reference, tally, until, PLAN)
    assert later.state is DriftState.ALARM
    assert later.trajectory[-1] < later.log10_limit
    assert judge(reference, tally, until, PLAN, restarted_at=BEGINS + 4).state is DriftState.NO_EVIDENCE


def test_too_little_reference_is_not_armed_and_says_what_is_missing(rng: np.random.Generator) -> None:
    verdict = judge(reference_of(drawn(rng, range(10))), drawn(rng, WATCHED, MOVED), LAST, PLAN)
    assert verdict.state is DriftState.NOT_ARMED
    assert verdict.sentence == "No signal is armed: 500 of 1000 reference studies."
    few = replace(PLAN, arming=ArmingRule(least_studies=1, least_slices=11))
    verdict = judge(reference_of(drawn(rng, range(10))), Tally(), LAST, few)
    assert verdict.sentence == "No signal is armed: 10 of 11 reference slices."
    assert judge(reference_of(Tally()), Tally(), LAST, PLAN).state is DriftState.NOT_ARMED


def test_a_signal_that_no_reference_study_tells_is_left_out(rng: np.random.Generator) -> None:
    silent = {**SHARES, "spacing": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0)}
    verdict = judge(reference_of(drawn(rng, range(40), silent)), drawn(rng, WATCHED), LAST, PLAN)
    assert {one.signal for one in verdict.not_armed} == {"spacing"}
    assert verdict.state is DriftState.NO_EVIDENCE


def test_the_order_in_which_counters_were_merged_leaves_no_trace(rng: np.random.Generator) -> None:
    parts = [drawn(rng, range(start, start + 5), MOVED) for start in range(BEGINS, LAST, 5)]
    reference = known_site(rng)
    forward = judge(reference, sum(parts, Tally()), LAST, PLAN)
    backward = judge(reference, sum(reversed(parts), Tally()), LAST, PLAN)
    assert forward == backward


def test_a_large_effect_without_evidence_yet_is_watched(rng: np.random.Generator) -> None:
    patient = replace(PLAN, arl_slices=1e300)
    verdict = judge(known_site(rng), drawn(rng, WATCHED, MOVED), LAST, patient)
    assert verdict.state is DriftState.WATCH
    assert verdict.sentence.endswith("not yet beyond chance.")


def test_a_reference_is_accepted_by_a_person_and_holds_no_study_that_is_watched(
    rng: np.random.Generator,
) -> None:
    with pytest.raises(ValueError, match="named person"):
        reference_of(drawn(rng, range(3)), accepted_by=" ")
    with pytest.raises(ValueError, match="cannot be watched"):
        reference_of(drawn(rng, range(BEGINS, BEGINS + 1)))


def test_the_digest_of_a_reference_tells_its_counts_bins_and_acceptance_and_no_order(
    rng: np.random.Generator,
) -> None:
    parts = [drawn(rng, range(start, start + 5)) for start in range(0, 20, 5)]
    one, same = reference_of(sum(parts, Tally())), reference_of(sum(reversed(parts), Tally()))
    later = one.followed_by(one.tally, accepted_by="Dr. Other", accepted_at_s=9, watched_from=BEGINS + 9)
    assert one.digest == same.digest
    assert later.version == 2
    assert len({one.digest, later.digest, reference_of(parts[0]).digest}) == 3


def test_each_level_of_the_tree_has_the_same_weight() -> None:
    weights = node_weights([(), ("n",), ("s",), ("n", "a")])
    assert weights == {(): 1 / 3, ("n",): 1 / 6, ("s",): 1 / 6, ("n", "a"): 1 / 3}


@pytest.mark.parametrize(
    ("found", "loud", "expected"),
    [
        ([()], [], [()]),
        ([(), ("n",)], [], [("n",)]),
        ([(), ("n",)], [()], [()]),
        ([(), ("n",), ("n", "a")], [], [("n", "a")]),
        ([(), ("n",), ("n", "a")], [("n",)], [("n",)]),
        ([("n", "a"), ("s",)], [], [("n", "a"), ("s",)]),
        ([], [], []),
    ],
)
def test_a_node_is_explained_by_those_below_it_if_it_is_silent_without_them(
    found: list[tuple[str, ...]], loud: list[tuple[str, ...]], expected: list[tuple[str, ...]]
) -> None:
    assert smallest_subtrees(found, lambda node, _: node not in loud) == tuple(expected)


def test_a_verdict_can_be_stored_and_read_again(rng: np.random.Generator) -> None:
    verdict = judge(known_site(rng), drawn(rng, WATCHED, MOVED), LAST, PLAN)
    assert from_json(DriftVerdict, to_json(DriftVerdict, verdict)) == verdict


def test_before_the_first_slice_is_over_nothing_is_known_and_nothing_alarms(rng: np.random.Generator) -> None:
    verdict = judge(known_site(rng), Tally(), BEGINS - 1, PLAN)
    assert (verdict.state, verdict.trajectory) == (DriftState.NO_EVIDENCE, ())
    assert verdict.sentence == "No drift in 6 watched signals over 0 slices."


def test_a_scanner_that_the_reference_does_not_know_shows_at_its_site(rng: np.random.Generator) -> None:
    seen = drawn(rng, WATCHED) + drawn(rng, WATCHED, MOVED, ("north", "new"))
    verdict = judge(known_site(rng), seen, LAST, PLAN)
    assert verdict.state is DriftState.ALARM
    assert verdict.subtrees == (("north",),)
