"""The safety net's question: did one version see something critical that the other missed?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingStatus(StrEnum):
    PRESENT = "present"
    ABSENT = "absent"
    INDETERMINATE = "indeterminate"
    NOT_REPORTED = "not-reported"  # the version does not speak of it


@dataclass(frozen=True, slots=True)
class FindingReport:
    """What one version says of one concept. `code` is unique (scheme and value), `meaning` is for people."""

    code: str
    meaning: str
    status: FindingStatus
    critical: bool  # of the highest urgency if present (ACR category 1, PS3.16 CID 7035)


@dataclass(frozen=True, slots=True)
class VersionFindings:
    """All that one version says of a study. `delivered`: the caller has this."""

    variant: str
    version: str
    delivered: bool
    findings: tuple[FindingReport, ...]


@dataclass(frozen=True, slots=True)
class Escalation:
    """A critical finding that one version saw and the other did not. `delivered_missed`: the caller's version."""

    code: str
    meaning: str
    seen_by: str
    missed_by: str
    other_says: FindingStatus
    delivered_missed: bool
    sentence: str


def escalations(one: VersionFindings, other: VersionFindings) -> tuple[Escalation, ...]:
    """All critical disagreements of two versions, in either direction; what the caller's missed comes first.

    It does not matter which version is given first. An abstention is not a sighting: it escalates too. A
    version that failed has found nothing, so it has nothing to disagree with.
    """
    both = [*_missed(one, other), *_missed(other, one)]
    return tuple(sorted(both, key=lambda e: (not e.delivered_missed, e.code, e.seen_by)))


def _missed(seeing: VersionFindings, blind: VersionFindings) -> list[Escalation]:
    statuses = {finding.code: finding.status for finding in blind.findings}
    return [
        _escalation(finding, seeing, blind, statuses.get(finding.code, FindingStatus.NOT_REPORTED))
        for finding in seeing.findings
        if finding.critical
        and finding.status is FindingStatus.PRESENT
        and statuses.get(finding.code) is not FindingStatus.PRESENT
    ]


def _escalation(
    finding: FindingReport, seeing: VersionFindings, blind: VersionFindings, other_says: FindingStatus
) -> Escalation:
    sentence = (
        f"{seeing.variant} (version {seeing.version}) saw {finding.meaning}; "
        f"{blind.variant} (version {blind.version}) says {other_says.value}"
    )
    if blind.delivered:
        sentence += ", and that is the delivered result"
    return Escalation(
        code=finding.code,
        meaning=finding.meaning,
        seen_by=seeing.variant,
        missed_by=blind.variant,
        other_says=other_says,
        delivered_missed=blind.delivered,
        sentence=f"{sentence}. A person must look now.",
    )
