"""Ground-truth sets: a fixed list of studies with what is really there, and how good a version is on it. Pure.

A set is never changed: other content is its next version. A version's own failure on a study (a crash, a timeout, a
refusal) is a wrong answer, as it would be to a caller; a study that could not be had is no answer at all: it is left
out, and makes the result incomplete. Intervals are exact (Clopper & Pearson, Biometrika 1934;26:404), since sets are
small and sensitivities are near 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from scipy.special import betaincinv

from canary.truth import TruthLabel, TruthSource
from core.hash_chain import digest_of

CONFIDENCE = 0.95
_READING = b"serinus.truthset"


@dataclass(frozen=True, slots=True)
class SetTruth:
    """What a source says of one finding of a study: present or absent. `reader` is a pseudonym or a role."""

    label: TruthLabel
    source: TruthSource
    reader: str = field(repr=False)

    def __post_init__(self) -> None:
        if self.label is TruthLabel.INDETERMINATE:
            raise ValueError("a truth of a set is present or absent")


@dataclass(frozen=True, slots=True)
class SetLine:
    """One line of a set as it is told. Without a series the version chooses by its own rule."""

    study_source: str
    study_uid: str = field(repr=False)
    finding: str
    truth: SetTruth
    series_uid: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SetStudy:
    """A study of a set, numbered from 0, with its truths by finding."""

    number: int
    study_source: str
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    truths: Mapping[str, SetTruth]


class BadLine(ValueError):
    """A line that cannot stand in the set; `number` counts from 0."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(number, problem)
        self.number, self.problem = number, problem


def studies_of(lines: Sequence[SetLine]) -> tuple[SetStudy, ...]:
    """The studies of some lines, in an order of their own: the same lines are the same set in any order.

    Raises BadLine for a finding of a study that stands twice, a study with two series, and a second source of it.
    """
    told: dict[str, tuple[SetLine, dict[str, SetTruth]]] = {}
    for number, line in enumerate(lines):
        first, truths = told.setdefault(line.study_uid, (line, {}))
        if (first.study_source, first.series_uid) != (line.study_source, line.series_uid):
            raise BadLine(number, "the study stands there before with another source or series")
        if line.finding in truths:
            raise BadLine(number, "the study has a truth of that finding before")
        truths[line.finding] = line.truth
    ordered = sorted(told.items())
    return tuple(
        SetStudy(number, first.study_source, uid, first.series_uid, dict(sorted(truths.items())))
        for number, (uid, (first, truths)) in enumerate(ordered)
    )


def digest_of_set(model: str, studies: Iterable[SetStudy]) -> str:
    """Names the content of a set: every study, series, truth, source and reader of it."""
    rows = [
        [
            *(one.study_source, one.study_uid, one.series_uid),
            {finding: [t.label.value, t.source.value, t.reader] for finding, t in one.truths.items()},
        ]
        for one in studies
    ]
    return digest_of([model, rows])


def counts_of(studies: Iterable[SetStudy]) -> dict[str, dict[str, int]]:
    """How many studies are present and absent, by finding."""
    counts: dict[str, dict[str, int]] = {}
    for study in studies:
        for finding, truth in study.truths.items():
            of_it = counts.setdefault(finding, {TruthLabel.PRESENT.value: 0, TruthLabel.ABSENT.value: 0})
            of_it[truth.label.value] += 1
    return dict(sorted(counts.items()))


def reading_id(run: str, number: int) -> str:
    """What the reading of a study of a run is called: 32 hexadecimal digits, as a job is."""
    return blake2b(f"{run}:{number}".encode(), digest_size=16, person=_READING).hexdigest()


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one study: presences by finding; or nothing, since the version `failed` or was never asked."""

    says: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Proportion:
    """`right` of `number`, with the bounds of the interval; None of no study."""

    right: int
    number: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class FindingScore:
    """How a version stands on one finding. `failed` studies count as wrong; `unread` are left out."""

    finding: str
    sensitivity: Proportion
    specificity: Proportion
    failed: int
    unread: int

    @property
    def is_complete(self) -> bool:
        return self.unread == 0


def score(studies: Iterable[SetStudy], told: Mapping[int, Told]) -> tuple[FindingScore, ...]:
    """How right a version is, by finding. A study of which nothing was told yet counts as unread.

    A version is right if it says what is true: `indeterminate`, silence and failure never are.
    """
    by_finding: dict[str, list[tuple[TruthLabel, Told]]] = {}
    for study in studies:
        for finding, truth in study.truths.items():
            what = told.get(study.number, Told(unread=True))
            by_finding.setdefault(finding, []).append((truth.label, what))
    return tuple(_score(finding, rows) for finding, rows in sorted(by_finding.items()))


def _score(finding: str, rows: Sequence[tuple[TruthLabel, Told]]) -> FindingScore:
    read = [(label, told) for label, told in rows if not told.unread]
    right = {label: 0 for label in TruthLabel}
    number = {label: 0 for label in TruthLabel}
    for label, told in read:
        number[label] += 1
        right[label] += not told.failed and told.says.get(finding) == label.value
    return FindingScore(
        finding,
        proportion(right[TruthLabel.PRESENT], number[TruthLabel.PRESENT]),
        proportion(right[TruthLabel.ABSENT], number[TruthLabel.ABSENT]),
        failed=sum(told.failed for _, told in read),
        unread=len(rows) - len(read),
    )


def proportion(right: int, number: int, confidence: float = CONFIDENCE) -> Proportion:
    """The share with its exact interval: it covers the truth with at least the confidence, whatever that is."""
    if not 0 <= right <= number:
        raise ValueError("of some studies not more can be right than there are")
    if number == 0:
        return Proportion(0, 0, None, None, None)
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if right == 0 else float(betaincinv(right, number - right + 1, tail))
    high = 1.0 if right == number else float(betaincinv(right + 1, number - right, 1.0 - tail))
    return Proportion(right, number, right / number, low, high)


def due_versions(
    live: Iterable[str], last_run_at_s: Mapping[str, float], every_s: float, now_s: float
) -> tuple[str, ...]:
    """The versions that a set is to be run against now: each that never was, or not for so long."""
    return tuple(
        version
        for version in dict.fromkeys(live)
        if version not in last_run_at_s or now_s - last_run_at_s[version] >= every_s
    )
