"""A site's rules raise the priority of a study by its context, and lower none unless they say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.priority_rules import PriorityRule, RankedPriority, priority_of
from core.priority import PRIORITY_DELAY_S, Priority

ED = PriorityRule("ED first", {"service": ("ED", "trauma")}, Priority.STAT)
WARD = PriorityRule("stroke unit", {"ward": ("7b",), "service": ("neurology",)}, Priority.URGENT)
NIGHT = PriorityRule("research at night", {"service": ("research",)}, Priority.BATCH, may_lower=True)
RULES = (ED, WARD, NIGHT)

rules = st.lists(
    st.builds(
        PriorityRule,
        st.sampled_from(["a", "b"]),
        st.just({"service": ("ED",)}),
        st.sampled_from(Priority),
        st.booleans(),
    ),
    max_size=4,
)


@pytest.mark.parametrize(
    ("asked", "context", "expected"),
    [
        (Priority.ROUTINE, {"service": "ED"}, RankedPriority(Priority.STAT, "ED first")),
        (Priority.ROUTINE, {"Service": " trauma "}, RankedPriority(Priority.STAT, "ED first")),
        (Priority.STAT, {"service": "ED"}, RankedPriority(Priority.STAT)),
        (Priority.STAT, {"service": "neurology", "ward": "7B"}, RankedPriority(Priority.STAT)),
        (
            Priority.BATCH,
            {"service": "neurology", "ward": "7B"},
            RankedPriority(Priority.URGENT, "stroke unit"),
        ),
        (Priority.BATCH, {"ward": "7B"}, RankedPriority(Priority.BATCH)),
        (Priority.URGENT, {"service": "research"}, RankedPriority(Priority.BATCH, "research at night")),
        (Priority.URGENT, {"service": "EDUCATION"}, RankedPriority(Priority.URGENT)),
        (Priority.URGENT, {}, RankedPriority(Priority.URGENT)),
    ],
)
def test_what_a_context_does_to_a_priority(
    asked: Priority, context: dict[str, str], expected: RankedPriority
) -> None:
    assert priority_of(asked, context, RULES) == expected


@given(st.sampled_from(Priority), rules)
def test_no_rule_lowers_a_priority_unless_it_says_so(
    asked: Priority, given_rules: list[PriorityRule]
) -> None:
    ranked = priority_of(asked, {"service": "ED"}, given_rules)
    if not any(rule.may_lower for rule in given_rules):
        assert PRIORITY_DELAY_S[ranked.priority] <= PRIORITY_DELAY_S[asked]
    assert (ranked.rule is None) == (ranked.priority is asked)


@given(st.sampled_from(Priority), rules)
def test_the_order_of_the_rules_does_not_count(asked: Priority, given_rules: list[PriorityRule]) -> None:
    there = priority_of(asked, {"service": "ED"}, given_rules)
    back = priority_of(asked, {"service": "ED"}, given_rules[::-1])
    assert there.priority is back.priority


@pytest.mark.parametrize(("name", "match"), [("", {"a": ("b",)}), ("x", {}), ("x", {"a": ()})])
def test_a_rule_that_looks_at_nothing_is_refused(name: str, match: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match="a rule has a name"):
        PriorityRule(name, match, Priority.STAT)


def test_a_rule_keeps_what_it_looks_for_out_of_logs() -> None:
    assert "trauma" not in repr(ED)
