"""When failed work is tried again: by the class of its failure and by its age, never by a bare count of seconds.

source away        for a day, with growing pauses: a PACS that is down for a night loses no study
model away         waits, costs no attempt: no champion is warm, or its application is being replaced
worker lost        at once, costs no attempt; given up only when a study takes its worker down again and again
model failed       a few times, far apart: its health check replaces a sick replica meanwhile
permanent          never
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class FailureClass(StrEnum):
    SOURCE_AWAY = "source-away"
    MODEL_AWAY = "model-away"
    WORKER_LOST = "worker-lost"
    MODEL_FAILED = "model-failed"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Horizons in seconds since the first failure of its kind in a row; `…_attempts` count failures of that kind."""

    source_horizon_s: float = 24 * 3600.0
    model_horizon_s: float = 24 * 3600.0
    model_failed_attempts: int = 6
    worker_losses: int = 20
    first_pause_s: float = 0.5
    longest_pause_s: float = 300.0
    waiting_pause_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a job has behind it: `failed` attempts that ended with an error of its own, and `losses` of its worker."""

    failed: int
    losses: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`at` is None when it is given up. `counts` says whether this was an attempt."""

    at: datetime | None
    counts: bool


GIVE_UP: Final = RetryDecision(None, True)


def after_failure(kind: FailureClass, behind: Attempts, now: datetime, policy: RetryPolicy) -> RetryDecision:
    """What follows a failure of class `kind` at `now`; `behind` does not contain this failure yet."""
    age_s = (now - behind.failing_since).total_seconds() if behind.failing_since else 0.0
    match kind:
        case FailureClass.PERMANENT:
            return GIVE_UP
        case FailureClass.SOURCE_AWAY:
            return _within(policy.source_horizon_s, age_s, now, pause_s(behind.failed, policy), counts=True)
        case FailureClass.MODEL_AWAY:
            return _within(policy.model_horizon_s, age_s, now, policy.waiting_pause_s, counts=False)
        case FailureClass.MODEL_FAILED:
            if behind.failed + 1 >= policy.model_failed_attempts:
                return GIVE_UP
            return RetryDecision(now + timedelta(seconds=pause_s(behind.failed + 2, policy)), True)
        case FailureClass.WORKER_LOST:
            if behind.losses + 1 >= policy.worker_losses:
                return GIVE_UP
            return RetryDecision(now + timedelta(seconds=loss_pause_s(behind.losses, policy)), False)


def pause_s(failed: int, policy: RetryPolicy) -> float:
    """Doubles with each failure, up to the longest.

    >>> [pause_s(n, RetryPolicy()) for n in (0, 1, 2, 12)]
    [0.5, 1.0, 2.0, 300.0]
    """
    return min(policy.first_pause_s * 2.0 ** min(failed, 30), policy.longest_pause_s)


def loss_pause_s(losses: int, policy: RetryPolicy) -> float:
    """None after the first loss, which is most often a kill; then growing, so that a study that kills its worker
    does not take its neighbours along each time.
    """
    return 0.0 if losses == 0 else pause_s(losses, policy)


def _within(horizon_s: float, age_s: float, now: datetime, pause: float, *, counts: bool) -> RetryDecision:
    return GIVE_UP if age_s >= horizon_s else RetryDecision(now + timedelta(seconds=pause), counts)
