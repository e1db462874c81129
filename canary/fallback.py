"""A variant failed: what now? The caller sees a normal answer in time or an honest error, no third thing.

Zero-harm canary: whatever a variant other than the champion does wrong, the champion answers, within the
caller's deadline, and the failure counts against the variant. Nothing falls from the champion to a canary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Failure(StrEnum):
    """How a call to a variant ended badly."""

    ERROR = "error"  # the model raised
    TIMEOUT = "timeout"  # its share of the deadline passed
    UNAVAILABLE = "unavailable"  # the replica died or cannot be reached
    OVERLOADED = "overloaded"  # its queue is full
    REFUSED_OUTPUT = "refused-output"  # it answered what no report may hold
    UNREADABLE_INPUT = "unreadable-input"  # its InputSpec does not take the study
    OUTSIDE_USE = "outside-use"  # its intended use does not cover the study
    FOREIGN_INPUT = "foreign-input"  # the study is unlike its reference set
    NO_TIME = "no-time"  # too little was left to ask it
    CANCELLED = "cancelled"  # the caller went away


BLAMELESS = frozenset(
    {Failure.OUTSIDE_USE, Failure.FOREIGN_INPUT, Failure.NO_TIME, Failure.CANCELLED}
)  # the variant was not even asked, or was right not to answer


class Action(StrEnum):
    RETRY = "retry"  # the same variant once more
    FALL_BACK = "fall-back"  # ask the champion
    GIVE_UP = "give-up"  # return the error


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed call. `number` counts calls to this variant from 1; `left_s`: to the caller's deadline."""

    is_champion: bool
    failure: Failure
    number: int
    left_s: float


@dataclass(frozen=True, slots=True)
class Next:
    """What to do within `budget_s` seconds; whether the failure `counts` against the variant; and why."""

    action: Action
    budget_s: float
    counts: bool
    reason: str


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """`stable_reserve_s`: what the champion needs to answer, say its p99; `variant_share`: of the time.

    No variant is waited for longer than `canary_timeout_s`, however far the deadline: a canary that hangs costs its
    studies that much. A call is not worth starting with less than `min_budget_s` left.
    """

    stable_reserve_s: float
    variant_share: float = 0.5
    canary_timeout_s: float = math.inf
    min_budget_s: float = 0.05
    champion_attempts: int = 2

    def __post_init__(self) -> None:
        if not 0.0 < self.variant_share <= 1.0:
            raise ValueError("variant_share lies in (0, 1]")
        if (
            min(self.stable_reserve_s, self.min_budget_s, self.canary_timeout_s) < 0
            or self.champion_attempts < 1
        ):
            raise ValueError("times are not negative, and the champion is asked at least once")


@dataclass(frozen=True, slots=True)
class CallerDeadline:
    """When a caller needs the answer: he asked for it (`is_asked`), or it is the end of his wait.

    It bounds how long a variant other than the champion is waited for, and ends no reading.
    """

    at: datetime
    is_asked: bool

    def left_s(self, now: datetime) -> float | None:
        """Seconds until then, 0 when it is past. None where nobody waits any longer, so that nobody is in a hurry."""
        left_s = (self.at - now).total_seconds()
        return max(left_s, 0.0) if self.is_asked or left_s > 0 else None


def variant_budget_s(
    left_s: float, policy: FallbackPolicy, caller_left_s: float | None = None
) -> float | None:
    """How long a variant other than the champion may take, so that the champion can still answer after it.

    `caller_left_s` is the time to the caller's deadline, of which the champion keeps a share, too; None where nobody
    is in a hurry. None when too little is left: the champion is asked at once then, as after `Failure.NO_TIME`.
    """
    budget = min(left_s * policy.variant_share, left_s - policy.stable_reserve_s, policy.canary_timeout_s)
    if caller_left_s is not None:
        budget = min(budget, caller_left_s * policy.variant_share)
    return budget if budget >= policy.min_budget_s else None


def _did(failure: Failure) -> str:
    if failure is Failure.FOREIGN_INPUT:
        return "does not know such input"
    return "failed" if failure not in BLAMELESS else "was not asked"


def after_failure(attempt: Attempt, policy: FallbackPolicy) -> Next:
    """The next step after a failed call."""
    if attempt.failure is Failure.CANCELLED:
        return Next(Action.GIVE_UP, 0.0, False, "the caller cancelled")
    counts = attempt.failure not in BLAMELESS
    if attempt.left_s < policy.min_budget_s:
        return Next(
            Action.GIVE_UP, 0.0, counts, f"{attempt.failure}, and the deadline leaves no time to ask again"
        )
    if not attempt.is_champion:
        return Next(
            Action.FALL_BACK,
            attempt.left_s,
            counts,
            f"the variant {_did(attempt.failure)} ({attempt.failure}): the champion answers",
        )
    if attempt.failure is Failure.UNAVAILABLE and attempt.number < policy.champion_attempts:
        return Next(
            Action.RETRY, attempt.left_s, counts, "a replica of the champion died: another one is asked"
        )
    return Next(
        Action.GIVE_UP, 0.0, counts, f"the champion failed ({attempt.failure}), and nobody stands in for it"
    )
