"""Sticky, exact, explainable: the rules that every assignment keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.assignment import AssignmentReason, NoSuchVariant, StudyFacts, assign, bucket_of, identity_of
from canary.routing_table import AssignmentKey, Canary, RoutingTable, Rule, Segment, Slot

from .tables import ab_test, canary, facts, shadow, table, variant

weights = st.integers(0, 10_000)
keys = st.text(min_size=1, max_size=40)
salts = st.text(min_size=1, max_size=20)


def share(routing: RoutingTable, arm: str, studies: int = 20_000) -> float:
    return sum(assign(facts(str(i)), routing).arm == arm for i in range(studies)) / studies


@given(key=keys, salt=salts, one=weights, other=weights)
def test_raising_the_weight_never_sends_a_study_back(key: str, salt: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    before = assign(facts(key), table(canary=canary(low, salt)))
    after = assign(facts(key), table(canary=canary(high, salt)))
    if before.variant.name == "canary":
        assert after.variant.name == "canary"


@given(key=keys, one=weights, other=weights, split=st.integers(1, 9_999))
def test_widening_an_ab_test_never_moves_a_study_between_arms(
    key: str, one: int, other: int, split: int
) -> None:
    low, high = sorted((one, other))
    before = assign(facts(key), table(ab_test=ab_test(split, 10_000 - split, coverage_bp=low)))
    after = assign(facts(key), table(ab_test=ab_test(split, 10_000 - split, coverage_bp=high)))
    if before.arm.startswith("arm-"):
        assert after.arm == before.arm


@given(patient=keys, first=keys, second=keys, weight=weights)
def test_all_studies_of_a_patient_stay_on_one_version(
    patient: str, first: str, second: str, weight: int
) -> None:
    routing = table(canary=canary(weight))
    one = assign(StudyFacts(first, patient), routing)
    two = assign(StudyFacts(second, patient), routing)
    assert one.variant == two.variant


@pytest.mark.parametrize("weight", [0, 1, 100, 500, 1_000, 2_500, 5_000, 9_000, 10_000])
def test_the_weight_is_the_share(weight: int) -> None:
    n, p = 20_000, weight / 10_000
    assert abs(share(table(canary=canary(weight)), "canary") - p) <= 3 * (p * (1 - p) / n) ** 0.5


@pytest.mark.parametrize("split", [(9_000, 1_000), (5_000, 3_000, 2_000)])
def test_each_arm_gets_its_weight(split: tuple[int, ...]) -> None:
    routing = table(ab_test=ab_test(*split, coverage_bp=5_000))
    for i, weight in enumerate(split):
        p = weight / 20_000
        assert abs(share(routing, f"arm-{i}") - p) <= 3 * (p * (1 - p) / 20_000) ** 0.5


@pytest.mark.parametrize("weight", [500, 4_000, 5_000])
def test_the_baseline_is_as_large_as_the_canary_and_read_by_the_champion(weight: int) -> None:
    assert canary(weight).segments == (
        Segment("canary", 0, weight),
        Segment("baseline", 5_000, 5_000 + weight),
    )
    readings = [assign(facts(str(i)), table(canary=canary(weight))) for i in range(400)]
    assert {r.variant.name for r in readings if r.arm == "baseline"} == {"champion"}


@given(weight=weights, bucket=st.integers(0, 9_999))
def test_canary_and_baseline_never_overlap(weight: int, bucket: int) -> None:
    assert sum(bucket in segment for segment in canary(weight).segments) <= 1


@given(key=keys, salt=salts, other=salts)
def test_a_bucket_lies_in_range_and_hangs_on_the_salt_alone(key: str, salt: str, other: str) -> None:
    assert 0 <= bucket_of(salt, key) < 10_000
    assert bucket_of(salt, key) == bucket_of(salt, key)


def test_two_salts_are_independent() -> None:
    both = sum(bucket_of("a", f"p{i}") < 1_000 and bucket_of("b", f"p{i}") < 1_000 for i in range(20_000))
    assert abs(both - 200) < 3 * (20_000 * 0.01 * 0.99) ** 0.5


def test_another_process_with_another_hash_seed_gives_the_same_answer() -> None:
    program = (
        "from canary.assignment import bucket_of;"
        "print([bucket_of('rollout-1', f'patient:pt-{i}') for i in range(50)])"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "4711")
    }
    assert answers == {str([bucket_of("rollout-1", f"patient:pt-{i}") for i in range(50)])}


def test_a_bucket_is_the_same_in_every_release() -> None:
    assert [bucket_of("rollout-1", f"patient:pt-{i}") for i in range(3)] == [8203, 6559, 9244]


@given(key=keys, weight=weights)
def test_a_table_of_a_later_generation_with_the_same_content_answers_alike(key: str, weight: int) -> None:
    routing = table(canary=canary(weight), shadows=(shadow(5_000),))
    later = assign(facts(key), replace(routing, generation=8))
    assert replace(later, generation=7, table=routing) == assign(facts(key), routing)


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        (AssignmentKey.PATIENT, "patient:p"),
        (AssignmentKey.STUDY, "study:s"),
        (AssignmentKey.ACCESSION, "accession:a"),
    ],
)
def test_the_key_decides_what_stays_together(key: AssignmentKey, identity: str) -> None:
    assert identity_of(StudyFacts("s", "p", "a"), key) == identity


def test_a_study_without_its_key_is_drawn_by_itself() -> None:
    assert identity_of(StudyFacts("s"), AssignmentKey.PATIENT) == "study:s"
    arms = {assign(StudyFacts(f"s{i}"), table(canary=canary(5_000))).variant.name for i in range(50)}
    assert arms == {"champion", "canary"}


@given(key=keys, shares_bp=st.lists(st.integers(0, 10_000), min_size=2, max_size=2))
def test_a_smaller_shadow_share_lies_within_a_larger_one(key: str, shares_bp: list[int]) -> None:
    low, high = sorted(shares_bp)
    routing = table(shadows=(shadow(low, "8", "shadow-low"), shadow(high, "9", "shadow-high")))
    names = {v.name for v in assign(facts(key), routing).shadows}
    assert "shadow-low" not in names or "shadow-high" in names


def test_a_shadow_of_a_hundred_percent_reads_all_and_of_zero_none() -> None:
    routing = table(shadows=(shadow(0, "8", "shadow-none"), shadow(10_000, "9", "shadow-all")))
    for i in range(300):
        assert [v.name for v in assign(facts(str(i)), routing).shadows] == ["shadow-all"]


def test_the_first_bucket_is_not_in_a_share_of_zero_and_the_only_one_in_the_smallest() -> None:
    first = next(str(i) for i in range(100_000) if bucket_of("shadow/ich", f"st-{i}") == 0)
    assert assign(facts(first), table(shadows=(shadow(0),))).shadows == ()
    assert len(assign(facts(first), table(shadows=(shadow(1),))).shadows) == 1


def test_a_version_does_not_shadow_itself() -> None:
    routing = table(canary=canary(10_000), shadows=(shadow(10_000, version="2"),))
    assert assign(facts(), routing).shadows == ()


def test_the_champion_shadows_what_the_canary_answers() -> None:
    assert assign(facts(), table(canary=canary(10_000))).safety_net
    assert not assign(facts(), table(canary=canary(10_000), safety_net_bp=0)).safety_net
    assert not assign(facts(), table(canary=canary(0))).safety_net


def test_a_share_of_the_safety_net_is_that_share() -> None:
    routing = table(canary=canary(10_000), safety_net_bp=2_500)
    caught = sum(assign(facts(str(i)), routing).safety_net for i in range(10_000))
    assert abs(caught - 2_500) < 3 * (10_000 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(
    ("condition", "matching"),
    [
        ({"sites": ("north",)}, {"site": "north"}),
        ({"modalities": ("CT",)}, {"modality": "CT"}),
        ({"scanners": ("Revolution",)}, {"scanner": "Revolution"}),
        ({"keys": ("pt-a",)}, {}),
    ],
)
def test_a_rule_goes_before_the_draw_and_only_where_it_matches(
    condition: dict[str, tuple[str, ...]], matching: dict[str, str]
) -> None:
    routing = table(canary=canary(10_000), rules=(Rule("hold", "champion", **condition),))
    ruled = assign(facts("a", **matching), routing)
    assert (ruled.variant.name, ruled.assignment_reason, ruled.rule) == (
        "champion",
        AssignmentReason.RULE,
        "hold",
    )
    assert ruled.draw is None
    assert assign(facts("b"), routing).variant.name == "canary"


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = Rule("pilot", "canary", sites=("north",), modalities=("CT",))
    routing = table(canary=canary(0), rules=(rule,))
    assert assign(facts(site="north", modality="CT"), routing).variant.name == "canary"
    assert assign(facts(site="north", modality="MR"), routing).variant.name == "champion"


def test_the_first_rule_that_matches_decides() -> None:
    first, second = Rule("one", "champion", sites=("n",)), Rule("two", "canary", sites=("n",))
    assert assign(facts(site="n"), table(canary=canary(0), rules=(first, second))).rule == "one"


def test_a_testers_wish_goes_before_a_rule() -> None:
    routing = table(canary=canary(0), rules=(Rule("hold", "champion", sites=("n",)),))
    asked = assign(facts(site="n", tester_variant="canary"), routing)
    assert (asked.variant.version, asked.assignment_reason) == ("2", AssignmentReason.TESTER)


@pytest.mark.parametrize("name", ["shadow-next", "arm-0", "challenger", ""])
def test_a_tester_cannot_have_a_variant_that_may_not_answer(name: str) -> None:
    with pytest.raises(NoSuchVariant):
        assign(facts(tester_variant=name), table(canary=canary(0), shadows=(shadow(10_000),)))


@given(key=keys, tester=st.sampled_from([None, "canary", "nonsense"]))
def test_a_freeze_sends_everything_to_the_champion(key: str, tester: str | None) -> None:
    routing = table(
        canary=canary(10_000),
        rules=(Rule("r", "canary", sites=("n",)),),
        shadows=(shadow(10_000),),
        frozen=True,
    )
    got = assign(facts(key, site="n", tester_variant=tester), routing)
    assert (got.variant.name, got.assignment_reason, got.shadows, got.safety_net) == (
        "champion",
        AssignmentReason.FROZEN,
        (),
        False,
    )


def test_a_freeze_that_came_later_says_what_the_tester_had_asked_for() -> None:
    frozen = table(canary=canary(0), frozen=True)
    assert "asked for canary" in assign(facts(tester_variant="canary"), frozen).reason
    assert "asked for" not in assign(facts(), frozen).reason


@given(key=keys)
def test_experiments_in_disjoint_slots_of_a_layer_never_share_a_patient(key: str) -> None:
    left, right = Slot("ct", "layer", 0, 5_000), Slot("ct", "layer", 5_000, 10_000)
    one = assign(facts(key), table(canary=canary(10_000, slot=left)))
    two = assign(facts(key), table(model="other", ab_test=ab_test(5_000, 5_000, slot=right)))
    assert (one.assignment_reason is AssignmentReason.DRAW) != (
        two.assignment_reason is AssignmentReason.DRAW
    )


@given(key=keys)
def test_a_canary_beside_an_ab_test_each_keep_to_their_slot(key: str) -> None:
    routing = table(
        canary=canary(10_000, slot=Slot("ct", "layer", 0, 3_000)),
        ab_test=ab_test(5_000, 5_000, slot=Slot("ct", "layer", 3_000, 10_000)),
    )
    inside = bucket_of("layer", f"patient:pt-{key}") < 3_000
    assert (assign(facts(key), routing).arm == "canary") == inside


@given(
    key=keys, weight_bp=weights, ends=st.lists(st.integers(0, 10_000), min_size=4, max_size=4, unique=True)
)
def test_a_slot_that_is_widened_sends_no_patient_back(key: str, weight_bp: int, ends: list[int]) -> None:
    low, start, stop, high = sorted(ends)
    narrow, wide = Slot("ct", "layer", start, stop), Slot("ct", "layer", low, high)
    assert wide.contains(narrow)
    before, after = (
        assign(facts(key), table(canary=canary(weight_bp, slot=slot))).arm for slot in (narrow, wide)
    )
    assert before != "canary" or after == "canary"


def test_each_decision_says_why_in_one_sentence_without_naming_the_patient() -> None:
    grounds = [
        assign(facts("secret"), table()),
        assign(facts("secret"), table(frozen=True)),
        assign(facts("secret"), table(canary=canary(10_000))),
        assign(facts("secret", tester_variant="champion"), table()),
        assign(facts("secret", site="n"), table(rules=(Rule("r", "champion", sites=("n",)),))),
    ]
    assert len({g.assignment_reason for g in grounds}) == 5
    assert all(len(g.reason) > 20 and "secret" not in g.reason for g in grounds)
    assert all(g.generation == 7 for g in grounds)


def test_the_weight_in_force_is_recorded_for_both_sides_of_the_split() -> None:
    routing = table(canary=canary(3_000))
    assert {assign(facts(str(i)), routing).weight_bp for i in range(100)} == {3_000}


def test_impossible_tables_cannot_be_made() -> None:
    impossible = [
        lambda: canary(10_001),
        lambda: Canary(variant("canary", "2"), 5, ""),
        lambda: ab_test(10_000),
        lambda: ab_test(5_000, 4_000),
        lambda: ab_test(5_000, 5_000, coverage_bp=-1),
        lambda: shadow(10_001),
        lambda: Rule("r", "canary"),
        lambda: Slot("l", "s", 5, 5),
        lambda: Segment("canary", 5, 4),
        lambda: StudyFacts(""),
        lambda: table(rules=(Rule("r", "canary", sites=("n",)),)),
        lambda: table(shadows=(shadow(1), shadow(2))),
        lambda: table(safety_net_bp=-1),
        lambda: table(canary=canary(5), ab_test=ab_test(5_000, 5_000)),
        lambda: table(
            canary=canary(5, slot=Slot("l", "s", 0, 6_000)),
            ab_test=ab_test(5_000, 5_000, slot=Slot("l", "s", 5_000, 10_000)),
        ),
    ]
    for make in impossible:
        with pytest.raises(ValueError):
            make()
