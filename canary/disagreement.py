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
    seen: FindingStatus
    critical: bool  # of the highest urgency if present (ACR category 1, PS3.16 CID 7035)


@dataclass(frozen=True, slots=True)
class VersionReading:
    """One version's whole reading. `delivered`: the caller has this one."""

    variant: str
    version: str
    delivered: bool
    reports: tuple[FindingReport, ...]


@dataclass(frozen=True, slots=True)
class Escalation:
    """A critical finding that one version saw and the other did not. `delivered_missed`: the caller's."""

    code: str
    meaning: str
    seen_by: str
    missed_by: str
    other_says: FindingStatus
    delivered_missed: bool
    sentence: str


def escalations(one: VersionReading, other: VersionReading) -> tuple[Escalation, ...]:
    """All critical disagreements of two readings, in either direction; what the caller's misses comes first.

    It does not matter which reading is given first. An abstention is not a sighting: it escalates too. A
    version that failed has no reading, so it has nothing to disagree with.
    """
    found = [*_missed(one, other), *_missed(other, one)]
    return tuple(sorted(found, key=lambda e: (not e.delivered_missed, e.code, e.seen_by)))


def _missed(seeing: VersionReading, blind: VersionReading) -> list[Escalation]:
    said = {s.code: s.seen for s in blind.reports}
    return [
        _escalation(sighting, seeing, blind, said.get(sighting.code, FindingStatus.NOT_REPORTED))
        for sighting in seeing.reports
        if sighting.critical
        and sighting.seen is FindingStatus.PRESENT
        and said.get(sighting.code, FindingStatus.NOT_REPORTED) is not FindingStatus.PRESENT
    ]


def _escalation(
    sighting: FindingReport, seeing: VersionReading, blind: VersionReading, says: FindingStatus
) -> Escalation:
    sentence = (
        f"{seeing.variant} (version {seeing.version}) saw {sighting.meaning}; "
        f"{blind.variant} (version {blind.version}) says {says.value}"
    )
    if blind.delivered:
        sentence += ", and that is the delivered result"
    return Escalation(
        code=sighting.code,
        meaning=sighting.meaning,
        seen_by=seeing.variant,
        missed_by=blind.variant,
        other_says=says,
        delivered_missed=blind.delivered,
        sentence=sentence + ". A person must observation now.",
    )
