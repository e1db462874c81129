"""What a version says reaches people only if the version may answer at this site now, whatever its role."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.disclosure import DISCLOSED, OF_THE_PAST, Audience, Role, audience_of
from canary.gates import Clearance, RegulatoryStatus, SitePolicy, regulatory_gate

DIGESTS = st.sampled_from(["", "a" * 64, "b" * 64])
OF_NOW = st.sampled_from(sorted(set(Role) - OF_THE_PAST))
CLEARANCES = st.builds(
    Clearance,
    st.sampled_from([None, "", "unknown", *(status.value for status in RegulatoryStatus)]),
    st.one_of(st.none(), DIGESTS),
)


@given(role=OF_NOW, clearance=CLEARANCES, digest=DIGESTS, policy=st.sampled_from(SitePolicy))
def test_nobody_hears_a_version_that_the_gate_would_not_let_answer(
    role: Role, clearance: Clearance, digest: str, policy: SitePolicy
) -> None:
    gate = regulatory_gate(clearance, digest, policy)
    audience = audience_of(role, may_answer=gate.may_answer)
    assert (audience in DISCLOSED) == gate.may_answer


@given(role=OF_NOW, clearance=CLEARANCES, digest=DIGESTS)
def test_at_a_strict_site_only_a_clearance_for_this_very_artifact_speaks(
    role: Role, clearance: Clearance, digest: str
) -> None:
    gate = regulatory_gate(clearance, digest, SitePolicy.STRICT)
    is_cleared = clearance.status == "cleared" and bool(digest) and clearance.digest == digest
    assert (audience_of(role, may_answer=gate.may_answer) is Audience.CALLER) == is_cleared


@pytest.mark.parametrize("role", Role)
def test_a_version_whose_clearance_is_not_known_speaks_to_nobody(role: Role) -> None:
    assert audience_of(role, may_answer=None) is Audience.EVIDENCE


@pytest.mark.parametrize("may_answer", [True, False, None])
@pytest.mark.parametrize("role", sorted(OF_THE_PAST))
def test_nobody_is_warned_of_a_study_of_the_past(role: Role, may_answer: bool | None) -> None:
    assert audience_of(role, may_answer=may_answer) is Audience.EVIDENCE


@pytest.mark.parametrize("role", [Role.SHADOW, Role.SAFETY_NET])
def test_at_a_research_site_a_research_version_speaks_and_a_withdrawn_one_does_not(role: Role) -> None:
    def audience(status: str) -> Audience:
        gate = regulatory_gate(Clearance(status, None), "a" * 64, SitePolicy.RESEARCH)
        return audience_of(role, may_answer=gate.may_answer)

    assert (audience("research"), audience("withdrawn")) == (Audience.CALLER, Audience.EVIDENCE)
