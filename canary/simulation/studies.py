"""The studies of a stretch of time, counted by what came of them. Each is of another patient."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from canary.routing_table import BASIS_POINTS
from canary.simulation.assumptions import Assumptions, chances

Counts = npt.NDArray[np.int64]
NOTHING: Final[Counts] = np.zeros(4, dtype=np.int64)


class Outcome(IntEnum):
    """What two versions make of a study of one truth."""

    BOTH_RIGHT = 0
    CANDIDATE_WRONG = 1
    CHAMPION_WRONG = 2
    BOTH_WRONG = 3
    CANDIDATE_FAILS = 4  # where the champion is right
    CANDIDATE_FAILS_CHAMPION_WRONG = 5
    CHAMPION_FAILS = 6  # where the candidate is right
    CHAMPION_FAILS_CANDIDATE_WRONG = 7


CANDIDATE_FAILED: Final = (Outcome.CANDIDATE_FAILS, Outcome.CANDIDATE_FAILS_CHAMPION_WRONG)
CHAMPION_FAILED: Final = (Outcome.CHAMPION_FAILS, Outcome.CHAMPION_FAILS_CANDIDATE_WRONG)
OUTCOMES: Final = 2 * len(Outcome) + 1
"""Positive studies by outcome, negative ones by outcome, and those at which both versions fail."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the champion and the canary were drawn for, and what came of the canary's answers."""

    canary: int = 0
    canary_failed: int = 0
    champion_failed: int = 0
    adverse: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Studies that both versions were given: how many one of them failed alone, or both did, and by truth those of
    which (both are right, only the candidate is wrong, only the champion is wrong, both are wrong). Of what both
    failed nobody said anything, so that no truth judges it.
    """

    read: int
    candidate_failed: int
    positive: Counts
    negative: Counts
    champion_failed: int = 0
    both_failed: int = 0


NO_PAIRS: Final = Pairs(0, 0, NOTHING, NOTHING)


@dataclass(slots=True)
class Studies:
    """Draws the studies of one run, stretch by stretch; the same generator and the same stretches give the same."""

    assumptions: Assumptions
    rng: np.random.Generator
    _chances: tuple[float, ...] = field(init=False)
    _late: deque[tuple[datetime, Counts, Counts]] = field(init=False, default_factory=deque)

    def __post_init__(self) -> None:
        self._chances = chances(self.assumptions)

    def drawn(self, days: float, until: datetime, weight_bp: int, mirror_bp: int) -> tuple[Answered, Pairs]:
        """The studies of so many days up to `until`, with the weight and the mirror that held all that time.

        The champion reads along wherever the canary answers, and a shadow reads also what the champion failed.
        """
        per_day = 0.0 if self.assumptions.is_silent else self.assumptions.studies_per_day
        number = self.rng.poisson(per_day * days)
        found = self.rng.multinomial(number, self._chances)
        in_canary = self.rng.binomial(found, weight_bp / BASIS_POINTS) if weight_bp else np.zeros_like(found)
        shadowed = found - in_canary
        if mirror_bp < BASIS_POINTS:
            shadowed = self.rng.binomial(shadowed, mirror_bp / BASIS_POINTS)
        answered = self._answered(found, in_canary)
        pairs = _pairs(shadowed, in_canary)
        if self.assumptions.truth_after_s is not None and pairs.read:
            due = until + timedelta(seconds=self.assumptions.truth_after_s)
            self._late.append((due, pairs.positive, pairs.negative))
        return answered, pairs

    def truths(self, now: datetime) -> tuple[Counts, Counts]:
        """What became known up to now and was not told before, of positive and of negative studies."""
        positive, negative = NOTHING, NOTHING
        while self._late and self._late[0][0] <= now:
            _, more_positive, more_negative = self._late.popleft()
            positive, negative = positive + more_positive, negative + more_negative
        return positive, negative

    @property
    def is_all_known(self) -> bool:
        """Whether no truth is still to come."""
        return not self._late

    def _answered(self, found: Counts, in_canary: Counts) -> Answered:
        champion_failed = _failed(found - in_canary, CHAMPION_FAILED)
        if not in_canary.any():
            return Answered(champion_failed=champion_failed)
        failed = _failed(in_canary, CANDIDATE_FAILED)
        by_truth = in_canary[:-1].reshape(2, len(Outcome))
        differing = int(by_truth[:, Outcome.CANDIDATE_WRONG : Outcome.BOTH_WRONG].sum())
        critical = int(self.rng.binomial(differing, self.assumptions.critical_share))
        return Answered(
            canary=int(in_canary.sum()),
            canary_failed=failed,
            champion_failed=champion_failed,
            adverse=failed + critical,
        )


def _failed(counts: Counts, alone: tuple[Outcome, ...]) -> int:
    """How many studies one version failed: alone, or as the other did."""
    return int(counts[:-1].reshape(2, len(Outcome))[:, alone].sum() + counts[-1])


def _pairs(shadowed: Counts, in_canary: Counts) -> Pairs:
    """The shadow's readings, and the champion's beside the canary's answers; a canary that failed is no pair."""
    beside = in_canary[:-1].reshape(2, len(Outcome)).copy()
    beside[:, CANDIDATE_FAILED] = 0
    pairs, both_failed = shadowed[:-1].reshape(2, len(Outcome)) + beside, int(shadowed[-1])
    known = pairs[:, : Outcome.CANDIDATE_FAILS].copy()
    known[:, Outcome.CANDIDATE_WRONG] += pairs[:, Outcome.CANDIDATE_FAILS]
    known[:, Outcome.CHAMPION_WRONG] += pairs[:, Outcome.CHAMPION_FAILS]
    known[:, Outcome.BOTH_WRONG] += pairs[:, Outcome.CANDIDATE_FAILS_CHAMPION_WRONG]
    known[:, Outcome.BOTH_WRONG] += pairs[:, Outcome.CHAMPION_FAILS_CANDIDATE_WRONG]
    return Pairs(
        read=int(pairs.sum()) + both_failed,
        candidate_failed=int(pairs[:, CANDIDATE_FAILED].sum()),
        positive=known[0],
        negative=known[1],
        champion_failed=int(pairs[:, CHAMPION_FAILED].sum()),
        both_failed=both_failed,
    )
