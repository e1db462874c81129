"""Each decision can be told in words and computed again, and a row that was changed is found out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.assignment import Assignment, StudyFacts, assign, shadow_bucket
from canary.decision_inputs import table_text
from canary.explain import DecisionRow, decision_row, explain
from canary.routing_table import AssignmentKey, RoutingTable, Rule, Slot

from .tables import ab_test, canary, facts, shadow, table

SLOT = Slot("ct", "layer", 0, 10_000)
TABLES = [
    table(),
    table(frozen=True),
    table(canary=canary(2_500)),
    table(canary=canary(2_500, slot=SLOT)),
    table(canary=canary(10_000, salt="a:b-c d")),
    table(ab_test=ab_test(6_000, 4_000, coverage_bp=5_000)),
    table(rules=(Rule("all CT", "champion", modalities=("CT",)),)),
]


def row_of(key: str, routing: int = 2) -> DecisionRow:
    drawn = assign(facts(key, modality="CT"), TABLES[routing])
    return decision_row(drawn, "ich", role="answered", outcome="ok", latency_ms=41.7)


def of_a_former_release(row: DecisionRow) -> DecisionRow:
    """It kept neither facts nor table."""
    return replace(row, facts="", table="", table_digest="")


sites = st.sampled_from(["", "north", "south"])
tables = st.builds(
    lambda canary_bp, slots, coverage, shadow_bp, net_bp, rules, frozen, key: table(
        canary=None if canary_bp is None else canary(canary_bp, slot=slots[0]),
        ab_test=None if slots[1] is None else ab_test(6_000, 4_000, coverage_bp=coverage, slot=slots[1]),
        shadows=() if shadow_bp is None else (shadow(shadow_bp),),
        safety_net_bp=net_bp,
        rules=rules,
        frozen=frozen,
        key=key,
    ),
    st.none() | st.integers(0, 10_000),
    st.integers(1, 9_999).map(lambda at: (Slot("ct", "layer", 0, at), Slot("ct", "layer", at, 10_000)))
    | st.just((None, None)),
    st.integers(0, 10_000),
    st.none() | st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.lists(
        st.builds(Rule, st.just("pilot"), st.just("champion"), sites=st.just(("north",))), max_size=1
    ).map(tuple),
    st.booleans(),
    st.sampled_from(list(AssignmentKey)),
)
studies = st.builds(
    StudyFacts,
    study_key=st.text(min_size=1, max_size=8),
    patient_key=st.text(max_size=8),
    accession_key=st.text(max_size=8),
    site=sites,
    modality=st.just("CT"),
    tester_variant=st.sampled_from([None, None, "champion"]),
)


def rows_of(assignment: Assignment) -> list[DecisionRow]:
    """Every row that may come of an assignment."""
    answered = decision_row(assignment, "ich", role="answered", outcome="ok")
    champion = {"variant": "champion", "version": "1", "digest": "digest-1"}
    silent = [
        replace(answered, role="shadow", variant=v.name, version=v.version, digest=v.digest)
        for v in assignment.shadows
    ]
    net = [replace(answered, role="safety-net", **champion)] if assignment.safety_net else []
    fallback = replace(answered, **champion, reason=f"{answered.reason}; it failed")
    return [answered, replace(answered, role="failed"), fallback, *silent, *net]


@given(study=studies, routing=tables)
def test_every_decision_is_computed_again(study: StudyFacts, routing: RoutingTable) -> None:
    """Rule, tester, freeze, draw and default; the sampling of shadows and of the safety net."""
    for row in rows_of(assign(study, routing)):
        assert explain(row).agrees, explain(row).sentences


TAMPERED: dict[str, Any] = {
    "identity": "patient:somebody-else",
    "model": "other",
    "generation": 8,
    "assignment_reason": "rule of thumb",
    "arm": "arm-z",
    "variant": "arm-z",
    "version": "77",
    "digest": "digest-77",
    "reason": "somebody wanted it so",
    "salt": "another",
    "bucket": 10_000,
    "weight_bp": 10_001,
    "segments": "canary:1-2",
    "slot": "ct:other:0-1",
    "rule": "another",
    "facts": '{"study_key":"another"}',
    "table": "{}",
    "table_digest": "0" * 64,
}


@given(study=studies, routing=tables, field=st.sampled_from(sorted(TAMPERED)))
def test_a_row_that_was_tampered_with_is_found(study: StudyFacts, routing: RoutingTable, field: str) -> None:
    for row in rows_of(assign(study, routing)):
        assert not explain(replace(row, **{field: TAMPERED[field]})).agrees, field


@given(study=studies, routing=tables, role=st.sampled_from(["shadow", "safety-net"]))
def test_who_was_not_drawn_in_silence_has_no_row(study: StudyFacts, routing: RoutingTable, role: str) -> None:
    assignment = assign(study, routing)
    answered = decision_row(assignment, "ich", role="answered", outcome="ok")
    silent = {
        "shadow": replace(answered, role="shadow", variant="shadow-next", version="9", digest="digest-9")
    }
    net = replace(answered, role="safety-net", variant="champion", version="1", digest="digest-1")
    row = silent.get(role, net)
    drawn = bool(assignment.shadows) if role == "shadow" else assignment.safety_net
    assert explain(row).agrees == drawn


def test_the_champion_of_a_later_day_reads_for_a_recall_and_the_draw_is_computed_again() -> None:
    answered = decision_row(
        assign(facts("a"), table(canary=canary(10_000))), "ich", role="answered", outcome="ok"
    )
    row = replace(answered, role="recall", variant="champion", version="7", digest="digest-7")
    assert explain(row).agrees
    assert (
        "read the study again, since the version that had answered was withdrawn" in explain(row).sentences[0]
    )
    assert not explain(replace(row, bucket=9_999)).agrees
    old = replace(row, facts="", table="", table_digest="")
    assert explain(old).agrees


def test_the_words_name_the_part_of_the_hash_that_sampled_a_shadow() -> None:
    study = facts("a")
    routing = table(shadows=(shadow(10_000),))
    row = replace(
        decision_row(assign(study, routing), "ich", role="shadow", outcome="ok"),
        variant="shadow-next",
        version="9",
        digest="digest-9",
    )
    bucket = shadow_bucket("ich", study.study_key)
    told = (
        f"as shadow, shadow-next reads the buckets [0, 10000), and the study's is {bucket}: the row agrees."
    )
    assert explain(row).sentences[2].endswith(told)


def test_half_a_character_in_a_study_costs_no_decision_its_row() -> None:
    row = decision_row(
        assign(facts("a", scanner="ACME \udc80"), table()), "ich", role="answered", outcome="ok"
    )
    assert explain(row).agrees


def test_a_table_s_text_is_made_once() -> None:
    routing = table(canary=canary(5))
    assert table_text(routing) is table_text(routing)
    assert table_text(routing).digest == table_text(replace(routing)).digest


@given(key=st.text(min_size=1), routing=st.integers(0, len(TABLES) - 1))
def test_a_row_that_was_stored_agrees_with_itself(key: str, routing: int) -> None:
    assert explain(row_of(key, routing)).agrees


@given(key=st.text(min_size=1, max_size=9), bucket=st.integers(0, 9_999))
def test_a_changed_bucket_is_found_out(key: str, bucket: int) -> None:
    for row in (row_of(key), of_a_former_release(row_of(key))):
        assert explain(replace(row, bucket=bucket)).agrees == (bucket == row.bucket)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "another"},
        {"identity": "patient:somebody-else"},
        {"arm": "baseline", "variant": "champion"},
        {"variant": "arm-0"},
        {"segments": "canary:0-1 baseline:5000-5001"},
        {"segments": "canary"},
        {"slot": "ct:layer:0-1"},
        {"slot": "nonsense"},
    ],
)
def test_any_other_change_is_found_out_of_a_draw_alone(change: dict[str, str]) -> None:
    row = of_a_former_release(next(r for r in (row_of(str(i)) for i in range(99)) if r.arm == "canary"))
    assert explain(row).agrees
    assert not explain(replace(row, **change)).agrees  # type: ignore[arg-type]


def test_a_fallback_to_the_champion_and_shadows_agree_with_the_draw() -> None:
    row = of_a_former_release(next(r for r in (row_of(str(i)) for i in range(99)) if r.arm == "canary"))
    fell_back = replace(row, variant="champion", version="1")
    assert explain(fell_back).agrees
    assert explain(replace(row, variant="shadow-next", version="9", role="shadow")).agrees
    assert explain(replace(fell_back, role="failed")).agrees, "the champion may fail in its place, too"
    assert not explain(replace(row, variant="arm-b", role="failed")).agrees


def test_the_words_name_version_weight_bucket_and_table() -> None:
    row = next(r for r in (row_of(str(i)) for i in range(99)) if r.arm == "canary")
    what, why, check = explain(row).sentences
    assert what == "ich version 2 (canary, digest-2) read the study for its caller in 42 ms: ok."
    assert "By table 7, keyed by patient, of which 25 % went to the candidate" in why
    assert f"bucket {row.bucket} lies in [0, 2500), so canary reads" in why
    assert check.endswith("the row agrees.")


def test_a_decision_without_a_draw_is_computed_again_and_that_of_a_former_release_says_that_it_is_not() -> (
    None
):
    row = row_of("a", 6)
    sentences = explain(row).sentences
    assert "rule 'all CT' sends such studies to champion" in sentences[1]
    assert sentences[2] == "Computed again, rule 'all CT' sends such studies to champion: the row agrees."
    assert "kept nothing" in explain(of_a_former_release(row)).sentences[2]


@pytest.mark.parametrize(("role", "words"), [("replay", "in a replay"), ("ground-truth", "ground-truth set")])
def test_what_was_read_of_the_past_is_told_by_what_asked_for_it(role: str, words: str) -> None:
    """No table gave it to that version, so that there is nothing to be computed again."""
    row = replace(
        row_of("st-1"), role=role, version="9", variant="challenger", reason="replay r asked for it"
    )
    explanation = explain(row)
    assert explanation.agrees
    assert words in explanation.sentences[0]
    assert explanation.sentences[1] == "No table gave it this study: replay r asked for it."
