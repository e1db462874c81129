"""What a version says, beside what was really there: discordance, calibration, performance, and what scores expect.

Each part says in a sentence what it lacks; nothing of it is guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from observability.drift.audited import AuditableStudy, AuditedPerformance, audited_performance
from observability.drift.calibration import Outcome, calibration_evidence
from observability.drift.counters import Slice
from observability.drift.discordance import Compared, DiscordanceWatch
from observability.drift.expected import (
    AuditedPeriod,
    Expected,
    Honesty,
    OperatingPoint,
    expected_of,
    honesty_of,
)

LEAST_COMPARED: Final = 100  # of the reference, for a rate that means something
LEAST_CALIBRATED: Final = 50
LEAST_POSITIVE: Final = 10  # audited positive answers of a period
PERIOD: Final = 28  # slices
TENTHS: Final = 10
ALPHA: Final = 0.01


@dataclass(frozen=True, slots=True)
class AnsweredStudy:
    """What a version said of one finding of a study in slice `slice`; `is_present`: what is known by now.

    `was_asked`: that is known because the adjudication queue asked, which chooses by what versions say.
    """

    slice: Slice
    score: float
    says_positive: bool
    is_present: bool | None = None
    was_asked: bool = False


@dataclass(frozen=True, slots=True)
class AuditSample:
    """Studies that two versions read, each with the probability with which it was asked about.

    `against` names the other version; `asked` and `answered` count what the queue asked.
    """

    against: str
    asked: int
    answered: int
    studies: tuple[AuditableStudy, ...]


@dataclass(frozen=True, slots=True)
class Discordance:
    """The share that differs then and now, and log10 of M after each slice; `said` is what is lacking."""

    base: Compared
    now: Compared
    trajectory: tuple[float, ...] = ()
    log10_limit: float = 0.0
    said: str = ""

    @property
    def is_alarm(self) -> bool:
        return bool(self.trajectory) and max(self.trajectory) >= self.log10_limit


@dataclass(frozen=True, slots=True)
class Calibration:
    """log10 of the evidence against "0.3 means 30 in a hundred", over `studies` whose truth is known."""

    studies: int
    log10_e: float
    log10_limit: float

    @property
    def is_broken(self) -> bool:
        return self.log10_e >= self.log10_limit


@dataclass(frozen=True, slots=True)
class ExpectedNow:
    """What the scores alone let expect since watching began, and how right that was by period."""

    expected: Expected
    honesty: Honesty
    said: str = ""


@dataclass(frozen=True, slots=True)
class FindingAgainstTruth:
    """One finding: `answered` studies since watching began, of which `known` have a truth."""

    finding: str
    answered: int
    known: int
    discordance: Discordance
    calibration: Calibration
    expected: ExpectedNow
    audit: AuditSample | None
    performance: AuditedPerformance | None


def against_truth(
    answers: Mapping[str, Sequence[AnsweredStudy]],
    audits: Mapping[str, AuditSample],
    watched_from: Slice,
    until: Slice,
    arl_slices: float,
) -> tuple[FindingAgainstTruth, ...]:
    """By finding. What was answered before `watched_from` is what today is compared with."""
    return tuple(
        _finding(name, answers.get(name, ()), audits.get(name), watched_from, until, arl_slices)
        for name in sorted({*answers, *audits})
    )


def _finding(
    name: str,
    answers: Sequence[AnsweredStudy],
    audit: AuditSample | None,
    watched_from: Slice,
    until: Slice,
    arl_slices: float,
) -> FindingAgainstTruth:
    before = [one for one in answers if one.slice < watched_from]
    now = [one for one in answers if watched_from <= one.slice <= until]
    known = [one for one in now if one.is_present is not None]
    return FindingAgainstTruth(
        name,
        len(now),
        len(known),
        _discordance(before, now, range(watched_from, until + 1), arl_slices),
        _calibration(known),
        _expected(before, now, watched_from),
        audit,
        None if audit is None or not audit.answered else audited_performance(audit.studies),
    )


def _discordance(
    before: Sequence[AnsweredStudy], now: Sequence[AnsweredStudy], slices: range, arl_slices: float
) -> Discordance:
    """Only of truths for which nobody chose the study, as a report is there of every one."""
    base, since = _compared(before), _compared(now)
    if base.studies < LEAST_COMPARED:
        said = f"{base.studies} of {LEAST_COMPARED} studies of the reference have a truth to compare with."
        return Discordance(base, since, said=said)
    watch = DiscordanceWatch(_upper(base), arl_slices)
    of_slice: dict[Slice, list[AnsweredStudy]] = defaultdict(list)
    for one in now:
        of_slice[one.slice].append(one)
    path = watch.trajectory(_compared(of_slice.get(number, ())) for number in slices)
    return Discordance(base, since, path, float(np.log10(arl_slices)))


def _upper(base: Compared) -> float:
    """The upper end of the exact interval of 95 % of the share that differs, within what a rate may be."""
    if base.discordant == base.studies:
        return 1.0 - 1e-4
    upper = float(betaincinv(base.discordant + 1, base.studies - base.discordant, 0.975))
    return min(upper, 1.0 - 1e-4)


def _compared(studies: Iterable[AnsweredStudy]) -> Compared:
    known = [one for one in studies if one.is_present is not None and not one.was_asked]
    return Compared(len(known), sum(one.says_positive != one.is_present for one in known))


def _calibration(known: Sequence[AnsweredStudy]) -> Calibration:
    ordered = sorted(known, key=lambda one: one.slice)
    evidence = calibration_evidence(Outcome(one.score, bool(one.is_present)) for one in ordered)
    return Calibration(len(known), evidence.log10_e, -float(np.log10(ALPHA)))


def _expected(
    before: Sequence[AnsweredStudy], now: Sequence[AnsweredStudy], watched_from: Slice
) -> ExpectedNow:
    point = _operating_point([*before, *now], [one for one in before if one.is_present is not None])
    nothing = Honesty(0, 0.0, 0.0)
    if point is None or point.probability is None:
        known = sum(one.is_present is not None for one in before)
        said = f"{known} of {LEAST_CALIBRATED} studies of the reference have a truth to calibrate scores by."
        rate = Expected(None) if point is None else expected_of(point, _tenths(now))
        return ExpectedNow(rate, nothing, said)
    by_period: dict[int, list[AnsweredStudy]] = defaultdict(list)
    for one in now:
        by_period[(one.slice - watched_from) // PERIOD].append(one)
    periods = [
        AuditedPeriod(hoped.ppv, found)
        for _, studies in sorted(by_period.items())
        if (hoped := expected_of(point, _tenths(studies))).ppv is not None
        and (found := _found_ppv(studies)) is not None
    ]
    base = _found_ppv(before)
    honesty = nothing if base is None else honesty_of(base, periods)
    return ExpectedNow(expected_of(point, _tenths(now)), honesty)


def _operating_point(
    studies: Sequence[AnsweredStudy], known: Sequence[AnsweredStudy]
) -> OperatingPoint | None:
    """The lowest tenth in which a study was called present; what a score of each tenth meant in the reference."""
    positive = [_tenth(one.score) for one in studies if one.says_positive]
    if not positive:
        return None
    first = max(1, min(positive))
    if len(known) < LEAST_CALIBRATED:
        return OperatingPoint("score", first)
    shares = []
    for tenth in range(TENTHS):
        there = [bool(one.is_present) for one in known if _tenth(one.score) == tenth]
        middle = (tenth + 0.5) / TENTHS
        shares.append((sum(there) + middle) / (len(there) + 1.0))
    return OperatingPoint("score", first, tuple(shares))


def _found_ppv(studies: Iterable[AnsweredStudy]) -> float | None:
    known = [one for one in studies if one.says_positive and one.is_present is not None and not one.was_asked]
    return sum(bool(one.is_present) for one in known) / len(known) if len(known) >= LEAST_POSITIVE else None


def _tenths(studies: Iterable[AnsweredStudy]) -> npt.NDArray[np.int64]:
    """Studies by tenth of the score; the last, `missing`, stays empty."""
    counts = np.zeros(TENTHS + 1, dtype=np.int64)
    for one in studies:
        counts[_tenth(one.score)] += 1
    return counts


def _tenth(score: float) -> int:
    return min(int(score * TENTHS), TENTHS - 1)
