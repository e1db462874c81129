"""The recall of a withdrawn version: which studies it answered, what the champion says of them, and who comes first.

Pure. A study comes onto the list by what was delivered of it. The champion in force reads it again for the list
alone, and the list is ordered by how much the two differ for the patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from canary.disagreement import FindingReport, FindingStatus, VersionFindings, escalations
from canary.rollout.status import RolloutPhase

WITHDRAWN: Final = frozenset({RolloutPhase.ROLLING_BACK, RolloutPhase.FAILED})
SETTLED_AFTER: Final = timedelta(
    days=7
)  # what was on its way when the version was withdrawn has arrived by then
SEEN_AFTER: Final = timedelta(minutes=1)  # a row may be seen only after a later one was
SCORE_TOLERANCE: Final = 10  # points of 100: less is no difference
MEASURED_TOLERANCE: Final = 0.2  # the share of the larger of two values: less is no difference
NO_STATUS: Final = frozenset({FindingStatus.ABSENT, FindingStatus.NOT_REPORTED})


class RecallState(StrEnum):
    PENDING = "pending"  # the champion has not read it again yet
    COMPARED = "compared"
    UNREADABLE = "unreadable"  # it cannot be read again; the item's code says why


class Difference(StrEnum):
    """How the delivered result differs from the champion's, the worst first."""

    CRITICAL = "critical"  # one saw a critical finding, and the other did not
    FINDING = "finding"  # a finding is there by one, and not by the other
    SCORE = "score"  # the priority or a measurement
    INDETERMINATE = "indeterminate"  # one could not tell
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SaidOfStudy:
    """What one version says of a study: findings, priority score (0-100) and measurements by the concept's key."""

    version: str
    findings: tuple[FindingReport, ...] = ()
    priority_score: int | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindingChange:
    """A finding of which the two say different things."""

    code: str
    meaning: str
    delivered: FindingStatus
    champion: FindingStatus
    is_critical: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """`delivered_missed`: the champion saw something critical that the delivered result does not hold.

    `score_change` is the champion's priority score less the delivered one; None where one of them has none.
    """

    difference: Difference
    delivered_missed: bool = False
    score_change: int | None = None
    changes: tuple[FindingChange, ...] = ()


@dataclass(frozen=True, slots=True)
class RecallRank:
    """What an item's place on the list follows from."""

    item: str
    state: RecallState
    answered_at: datetime
    difference: Difference | None = None
    delivered_missed: bool = False
    score_change: int | None = None
    is_closed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether a person has still to look: not where a person did, or both versions agree."""
        return needs_person(self.difference) and not self.is_closed


@dataclass(frozen=True, slots=True)
class RecallSummary:
    """How many studies a list holds. `to_look_now`: open, and of a critical difference.

    `by_difference` counts all that were compared, closed ones among them.
    """

    studies: int = 0
    open: int = 0
    to_look_now: int = 0
    pending: int = 0
    unreadable: int = 0
    closed: int = 0
    by_difference: Mapping[Difference, int] = field(default_factory=dict)


def is_withdrawn(phase: RolloutPhase, ended_at: datetime | None, now: datetime) -> bool:
    """Whether a run's version is to be recalled now: it went back, and not before anybody kept such lists.

    `ended_at` is None while it still goes back.
    """
    return phase in WITHDRAWN and (ended_at is None or now - ended_at <= SETTLED_AFTER)


def belongs_until(withdrawn_at: datetime, again_at: datetime | None) -> datetime:
    """Up to when a study that the version answered belongs to its withdrawal.

    What was on its way then still arrives. `again_at`: the version was given studies again, by a later run or as
    champion; what it answers from then on is no longer of this withdrawal.
    """
    settled = withdrawn_at + SETTLED_AFTER
    return settled if again_at is None else min(settled, again_at)


def is_complete(until: datetime, taken_up_to: datetime) -> bool:
    """Whether no study can come onto the list any more."""
    return taken_up_to >= until + SEEN_AFTER


def compare(delivered: SaidOfStudy, champion: SaidOfStudy) -> Comparison:
    """How the champion's reading differs from what was delivered; the worst difference names it.

    A finding is critical if one of the two versions calls it so.
    """
    called = frozenset(one.code for one in (*delivered.findings, *champion.findings) if one.critical)
    escalated = escalations(
        VersionFindings("delivered", delivered.version, True, _with_critical(delivered, called)),
        VersionFindings("champion", champion.version, False, _with_critical(champion, called)),
    )
    critical = frozenset(one.code for one in escalated)
    changes = _changes(delivered, champion, critical)
    score_change = _score_change(delivered, champion)
    return Comparison(
        difference=_worst(changes, score_change, has_measured=_has_measured_change(delivered, champion)),
        delivered_missed=any(one.delivered_missed for one in escalated),
        score_change=score_change,
        changes=changes,
    )


def needs_person(difference: Difference | None) -> bool:
    """Whether a person has to look at a study of that difference; None: it is not known."""
    return difference is not Difference.NONE


def in_order(items: Iterable[RecallRank]) -> tuple[RecallRank, ...]:
    """What a person looks at first comes first: open items by difference, then those that agree, then closed ones.

    Within a difference what the delivered result missed comes first, then the larger change of the score, then the
    study that was answered last.
    """
    return tuple(sorted(items, key=_place))


def summary(items: Iterable[RecallRank]) -> RecallSummary:
    """Count a list."""
    known = tuple(items)
    states = Counter(one.state for one in known)
    is_urgent = [one.is_open and one.difference is Difference.CRITICAL for one in known]
    return RecallSummary(
        studies=len(known),
        open=sum(one.is_open for one in known),
        to_look_now=sum(is_urgent),
        pending=states[RecallState.PENDING],
        unreadable=states[RecallState.UNREADABLE],
        closed=sum(one.is_closed for one in known),
        by_difference=Counter(one.difference for one in known if one.difference is not None),
    )


def recall_alarm(version: str, run: int | None, open_items: int, to_look_now: int) -> str:
    """What the site's alarms say of a recall with open items."""
    of_run = "" if run is None else f" (run {run})"
    critical = f", {to_look_now} of them of a critical difference" if to_look_now else ""
    return (
        f"version {version}{of_run} was withdrawn, and {open_items} of the studies that it answered wait for a "
        f"person{critical}: `serinus rollout recall` lists them"
    )


def _with_critical(said: SaidOfStudy, codes: frozenset[str]) -> tuple[FindingReport, ...]:
    return tuple(replace(one, critical=one.code in codes) for one in said.findings)


def _changes(
    delivered: SaidOfStudy, champion: SaidOfStudy, critical: frozenset[str]
) -> tuple[FindingChange, ...]:
    ours = {finding.code: finding for finding in delivered.findings}
    theirs = {finding.code: finding for finding in champion.findings}
    found = (
        _change(code, ours.get(code), theirs.get(code), code in critical)
        for code in sorted(ours.keys() | theirs.keys())
    )
    return tuple(one for one in found if one is not None)


def _change(
    code: str, ours: FindingReport | None, theirs: FindingReport | None, is_critical: bool
) -> FindingChange | None:
    says = tuple(FindingStatus.NOT_REPORTED if one is None else one.status for one in (ours, theirs))
    if says[0] is says[1] or NO_STATUS.issuperset(says):
        return None
    known = theirs or ours
    return FindingChange(code, known.meaning if known is not None else code, says[0], says[1], is_critical)


def _worst(changes: tuple[FindingChange, ...], score_change: int | None, *, has_measured: bool) -> Difference:
    if any(one.is_critical for one in changes):
        return Difference.CRITICAL
    if any(FindingStatus.INDETERMINATE not in (one.delivered, one.champion) for one in changes):
        return Difference.FINDING
    if has_measured or abs(score_change or 0) >= SCORE_TOLERANCE:
        return Difference.SCORE
    return Difference.INDETERMINATE if changes else Difference.NONE


def _score_change(delivered: SaidOfStudy, champion: SaidOfStudy) -> int | None:
    if delivered.priority_score is None or champion.priority_score is None:
        return None
    return champion.priority_score - delivered.priority_score


def _has_measured_change(delivered: SaidOfStudy, champion: SaidOfStudy) -> bool:
    """Whether a concept that both measured has another value."""
    both = delivered.measurements.keys() & champion.measurements.keys()
    pairs = ((delivered.measurements[code], champion.measurements[code]) for code in both)
    return any(abs(a - b) > MEASURED_TOLERANCE * max(abs(a), abs(b)) for a, b in pairs)


_ORDER: Final = {
    Difference.CRITICAL: 0,
    Difference.FINDING: 1,
    Difference.SCORE: 2,
    Difference.INDETERMINATE: 3,
    Difference.NONE: 6,
}
_WITHOUT_DIFFERENCE: Final = {RecallState.UNREADABLE: 4, RecallState.PENDING: 5, RecallState.COMPARED: 5}


def _place(one: RecallRank) -> tuple[bool, int, bool, int, float, str]:
    kind = _WITHOUT_DIFFERENCE[one.state] if one.difference is None else _ORDER[one.difference]
    newest_first = -one.answered_at.timestamp()
    return one.is_closed, kind, not one.delivered_missed, -abs(one.score_change or 0), newest_first, one.item
