"""What a version may do, whatever its alias: the whole matrix, and the intended use of each study."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.gates import (
    Clearance,
    SitePolicy,
    StudyInUse,
    UseLimits,
    check_intended_use,
    regulatory_gate,
)

OURS, OTHER = "sha-of-this", "sha-of-another"
STRICT, RESEARCH = SitePolicy.STRICT, SitePolicy.RESEARCH


@pytest.mark.parametrize(
    ("status", "digest", "policy", "may", "research_only"),
    [
        ("cleared", OURS, STRICT, {"answer", "shadow"}, False),
        ("cleared", OURS, RESEARCH, {"answer", "shadow"}, False),
        ("cleared", OTHER, STRICT, {"shadow"}, True),
        ("cleared", OTHER, RESEARCH, {"answer", "shadow"}, True),
        ("cleared", None, STRICT, {"shadow"}, True),
        ("research", OURS, STRICT, {"shadow"}, True),
        ("research", OURS, RESEARCH, {"answer", "shadow"}, True),
        (None, None, STRICT, {"shadow"}, True),
        (None, None, RESEARCH, {"answer", "shadow"}, True),
        ("", OURS, STRICT, {"shadow"}, True),
        ("withdrawn", OURS, STRICT, set(), True),
        ("withdrawn", OURS, RESEARCH, set(), True),
        ("Cleared", OURS, STRICT, {"shadow"}, True),
        ("claered", OURS, RESEARCH, {"shadow"}, True),
    ],
)
def test_the_gate_matrix(
    status: str | None, digest: str | None, policy: SitePolicy, may: set[str], research_only: bool
) -> None:
    gate = regulatory_gate(Clearance(status, digest), OURS, policy)
    assert {p.value for p in gate.permissions} == may
    assert gate.research_only is research_only
    assert gate.reason


@given(status=st.one_of(st.none(), st.text()), digest=st.one_of(st.none(), st.text()), ours=st.text())
def test_at_a_strict_site_only_a_clearance_of_this_very_artifact_answers(
    status: str | None, digest: str | None, ours: str
) -> None:
    gate = regulatory_gate(Clearance(status, digest), ours, STRICT)
    assert gate.may_answer == (status == "cleared" and digest == ours != "")


@given(status=st.one_of(st.none(), st.text()), digest=st.one_of(st.none(), st.text()))
def test_a_result_is_free_of_the_research_mark_only_when_cleared(
    status: str | None, digest: str | None
) -> None:
    gate = regulatory_gate(Clearance(status, digest), OURS, RESEARCH)
    assert gate.research_only != (status == "cleared" and digest == OURS)


def test_an_artifact_without_a_digest_matches_no_clearance() -> None:
    assert not regulatory_gate(Clearance("cleared", ""), "", STRICT).may_answer


ADULT_HEAD_CT = UseLimits(("CT",), ("HEAD", "BRAIN"), 18, 90)


@pytest.mark.parametrize(
    ("study", "allowed"),
    [
        (StudyInUse("CT", "HEAD", 40), True),
        (StudyInUse("ct", "head", 18), True),
        (StudyInUse("CT", "", 40), True),
        (StudyInUse("CT", "HEAD", 90.9), True),
        (StudyInUse("CT", "HEAD", 91), False),
        (StudyInUse("CT", "HEAD", 17.9), False),
        (StudyInUse("MR", "HEAD", 40), False),
        (StudyInUse("", "HEAD", 40), False),
        (StudyInUse("CT", "CHEST", 40), False),
        (StudyInUse("CT", "HEAD", None), False),
    ],
)
def test_the_intended_use_of_a_study(study: StudyInUse, allowed: bool) -> None:
    assert check_intended_use(ADULT_HEAD_CT, study, STRICT).allowed is allowed


def test_an_unknown_age_passes_only_where_research_is_done_or_no_limit_is_set() -> None:
    unknown = StudyInUse("CT", "HEAD", None)
    assert check_intended_use(ADULT_HEAD_CT, unknown, RESEARCH).allowed
    assert check_intended_use(UseLimits(("CT",)), unknown, STRICT).allowed
    assert not check_intended_use(UseLimits(max_age_years=17), unknown, STRICT).allowed


@given(
    age=st.floats(0, 120),
    part=st.text(min_size=1).filter(lambda p: p.strip().upper() not in ("HEAD", "BRAIN")),
)
def test_a_refusal_names_the_rule_and_never_the_patients_own_value(age: float, part: str) -> None:
    verdict = check_intended_use(ADULT_HEAD_CT, StudyInUse("CT", part, age), STRICT)
    assert verdict == check_intended_use(ADULT_HEAD_CT, StudyInUse("CT", "ANYTHING", None), STRICT)


def test_a_contrast_agent_or_another_view_lies_outside_where_the_use_says_so() -> None:
    plain, frontal = UseLimits(("CT",), without_contrast=True), UseLimits(("CR",), views=("PA", "AP"))
    enhanced = StudyInUse("CT", has_contrast=True)
    assert "without contrast" in check_intended_use(plain, enhanced, RESEARCH).reason
    assert check_intended_use(UseLimits(("CT",)), enhanced, RESEARCH).allowed
    assert check_intended_use(plain, StudyInUse("CT"), RESEARCH).allowed
    told = {
        view: check_intended_use(frontal, StudyInUse("CR", view=view), RESEARCH).allowed
        for view in ("", "pa", "LL")
    }
    assert told == {"": True, "pa": True, "LL": False}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (UseLimits(min_age_years=18), "from 18"),
        (UseLimits(max_age_years=17), "up to 17"),
        (UseLimits(min_age_years=40, max_age_years=50), "40 to 50"),
    ],
)
def test_an_age_limit_is_said_in_words(limits: UseLimits, said: str) -> None:
    age = 10 if limits.min_age_years else 30
    assert said in check_intended_use(limits, StudyInUse("CT", "", age), STRICT).reason
