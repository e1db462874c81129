"""Each decision can be told in words and computed again, and a row that was changed is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.assignment import assign
from canary.explain import DecisionRow, decision_row, explain
from canary.routing_table import Rule, Slot

from .tables import ab_test, canary, facts, table

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


@given(key=st.text(min_size=1), routing=st.integers(0, len(TABLES) - 1))
def test_a_row_that_was_stored_agrees_with_itself(key: str, routing: int) -> None:
    assert explain(row_of(key, routing)).agrees


@given(key=st.text(min_size=1, max_size=9), bucket=st.integers(0, 9_999))
def test_a_changed_bucket_is_found_out(key: str, bucket: int) -> None:
    row = row_of(key)
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
def test_any_other_change_is_found_out(change: dict[str, str]) -> None:
    row = next(r for r in (row_of(str(i)) for i in range(99)) if r.arm == "canary")
    assert explain(row).agrees
    assert not explain(replace(row, **change)).agrees  # type: ignore[arg-type]


def test_a_fallback_to_the_champion_and_shadows_agree_with_the_draw() -> None:
    row = next(r for r in (row_of(str(i)) for i in range(99)) if r.arm == "canary")
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


def test_a_decision_without_a_draw_says_so() -> None:
    sentences = explain(row_of("a", 6)).sentences
    assert "rule 'all CT' sends such studies to champion" in sentences[1]
    assert "nothing to compute" in sentences[2]
