"""A critical finding that one version saw and the other missed is escalated, whoever saw it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.disagreement import FindingReport, FindingStatus, VersionFindings, escalations

FINDINGS = st.lists(
    st.builds(
        FindingReport,
        st.sampled_from("abcd"),
        st.just("a finding"),
        st.sampled_from(list(FindingStatus)),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda s: s.code,
).map(tuple)


def bleed(status: FindingStatus, *, critical: bool = True) -> tuple[FindingReport, ...]:
    return (FindingReport("SCT:1386000", "intracranial haemorrhage", status, critical),)


def canary(findings: tuple[FindingReport, ...]) -> VersionFindings:
    return VersionFindings("canary", "2", delivered=True, findings=findings)


def champion(findings: tuple[FindingReport, ...]) -> VersionFindings:
    return VersionFindings("champion", "1", delivered=False, findings=findings)


@pytest.mark.parametrize(
    "other", [FindingStatus.ABSENT, FindingStatus.INDETERMINATE, FindingStatus.NOT_REPORTED]
)
def test_a_bleed_that_the_canary_missed_is_escalated(other: FindingStatus) -> None:
    [escalation] = escalations(canary(bleed(other)), champion(bleed(FindingStatus.PRESENT)))
    assert (escalation.seen_by, escalation.missed_by, escalation.other_says) == ("champion", "canary", other)
    assert escalation.delivered_missed
    assert "that is the delivered result. A person must look now." in escalation.sentence


def test_a_bleed_that_only_the_canary_saw_is_escalated_too() -> None:
    [escalation] = escalations(canary(bleed(FindingStatus.PRESENT)), champion(bleed(FindingStatus.ABSENT)))
    assert (escalation.seen_by, escalation.delivered_missed) == ("canary", False)


def test_a_version_that_does_not_speak_of_it_has_missed_it() -> None:
    [escalation] = escalations(canary(()), champion(bleed(FindingStatus.PRESENT)))
    assert escalation.other_says is FindingStatus.NOT_REPORTED


def test_what_is_not_critical_is_no_emergency() -> None:
    assert not escalations(
        canary(bleed(FindingStatus.ABSENT, critical=False)),
        champion(bleed(FindingStatus.PRESENT, critical=False)),
    )


@given(findings=FINDINGS)
def test_versions_that_agree_escalate_nothing(findings: tuple[FindingReport, ...]) -> None:
    assert not escalations(canary(findings), champion(findings))


@given(one=FINDINGS, other=FINDINGS)
def test_the_order_of_the_readings_does_not_matter(
    one: tuple[FindingReport, ...], other: tuple[FindingReport, ...]
) -> None:
    assert escalations(canary(one), champion(other)) == escalations(champion(other), canary(one))


@given(one=FINDINGS, other=FINDINGS)
def test_exactly_the_critical_sightings_that_the_other_lacks_escalate(
    one: tuple[FindingReport, ...], other: tuple[FindingReport, ...]
) -> None:
    def alone(these: tuple[FindingReport, ...], those: tuple[FindingReport, ...]) -> set[str]:
        seen = {s.code for s in those if s.status is FindingStatus.PRESENT}
        return {s.code for s in these if s.status is FindingStatus.PRESENT and s.critical} - seen

    disagreements = escalations(canary(one), champion(other))
    assert {e.code for e in disagreements if e.seen_by == "canary"} == alone(one, other)
    assert {e.code for e in disagreements if e.seen_by == "champion"} == alone(other, one)
    missed = [e.delivered_missed for e in disagreements]
    assert missed == sorted(missed, reverse=True), "what the caller's result misses comes first"
