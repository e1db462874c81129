"""Critical disagreements: once, with their job, and as a stream that nobody misses anything of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from canary.disagreement import FindingReport, FindingStatus, VersionFindings, escalations
from ledger import Audience, Ledger


def escalation(code: str = "1386000@SCT") -> dict[str, Any]:
    """The canary's delivered reading missed what the champion saw."""
    seen = FindingReport(code, "Intracranial hemorrhage", FindingStatus.PRESENT, True)
    champion = VersionFindings("champion", "1", False, (seen,))
    (found,) = escalations(VersionFindings("canary", "2", True, ()), champion)
    return asdict(found)


def test_an_escalation_comes_back_with_its_job(ledger: Ledger) -> None:
    assert ledger.escalations.record("job", escalation(), Audience.CALLER)
    assert ledger.escalations.of_job("job") == (escalation(),)
    assert ledger.escalations.of_job("other") == ()


def test_a_reading_that_is_repeated_escalates_once(ledger: Ledger) -> None:
    told = [ledger.escalations.record("job", escalation(), Audience.CALLER) for _ in range(2)]
    assert (told, len(ledger.escalations.since(0))) == ([True, False], 1)
    assert ledger.escalations.record("other", escalation(), Audience.CALLER)


def test_the_stream_goes_on_after_the_cursor_and_tells_each_once(ledger: Ledger) -> None:
    for number in range(5):
        ledger.escalations.record(f"job {number}", escalation(), Audience.CALLER)
    cursor, heard = 0, []
    while events := ledger.escalations.since(cursor, limit=2):
        heard += [event.job_id for event in events]
        cursor = events[-1].sequence
    assert heard == [f"job {number}" for number in range(5)]
    ledger.escalations.record("late", escalation(), Audience.CALLER)
    assert [event.job_id for event in ledger.escalations.since(cursor)] == ["late"]


def test_a_caller_hears_what_is_meant_for_callers_only(ledger: Ledger) -> None:
    ledger.escalations.record("job", escalation("1@SCT"), Audience.EVIDENCE)
    ledger.escalations.record("job", escalation("2@SCT"), Audience.CALLER)
    assert [told["code"] for told in ledger.escalations.of_job("job")] == ["2@SCT"]
    assert [event.detail["code"] for event in ledger.escalations.since(0)] == ["2@SCT"]
    assert len(ledger.escalations.of_job("job", audience=None)) == 2
    (silent,) = ledger.escalations.since(0, audience=Audience.EVIDENCE)
    assert (silent.audience, silent.detail["code"]) == (Audience.EVIDENCE, "1@SCT")
