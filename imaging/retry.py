"""Ask again, for a while: bounded retries of idempotent requests under one deadline, by tenacity.

tenacity and not stamina: a pause here comes from the server (Retry-After) or from a short table, an attempt may not
begin that could not end in time, and a test passes the function that sleeps. stamina decides all three by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from core.errors import SourceError, SourceTimeout

T = TypeVar("T")

_PAUSES_S: Final = (0.0, 0.2, 1.0)  # the first is none: most often only an idle connection had been closed
_LONGEST_PAUSE_S: Final = 10.0


class Transient(Exception):
    """This attempt failed in a way that may pass. `after_s` is what the server asked us to wait."""

    def __init__(self, error: SourceError, after_s: float | None = None) -> None:
        super().__init__(error, after_s)
        self.error = error
        self.after_s = after_s


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        return self.at - time.monotonic()

    def check(self) -> None:
        """Raises SourceTimeout when the moment has passed."""
        if self.left_s <= 0:
            raise SourceTimeout("the study did not arrive within its time limit")


def retrying(
    work: Callable[[], T],
    deadline: Deadline,
    attempts: int = len(_PAUSES_S) + 1,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The result of `work`, called again while it raises Transient. Raises the error of the last attempt.

    No attempt begins after the deadline, and no pause that would end after it.
    """
    retries = Retrying(
        retry=retry_if_exception_type(Transient),
        before=lambda state: deadline.check(),
        wait=_pause_s,
        stop=lambda state: stop_after_attempt(attempts)(state) or state.upcoming_sleep >= deadline.left_s,
        sleep=sleep,
        retry_error_callback=_give_up,
    )
    return retries(work)


def _give_up(state: RetryCallState) -> NoReturn:
    raise _failure(state).error from None


def _pause_s(state: RetryCallState) -> float:
    """As long as the server asked for, at least as the table says, and at most the longest pause."""
    pause_s = _PAUSES_S[min(state.attempt_number, len(_PAUSES_S)) - 1]
    return min(max(pause_s, _failure(state).after_s or 0.0), _LONGEST_PAUSE_S)


def _failure(state: RetryCallState) -> Transient:
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, Transient)  # nothing else is tried again
    return failure


def retry_after_s(header: str | None) -> float | None:
    """A Retry-After of delta-seconds (RFC 9110 §10.2.3); a date, or nonsense, is None."""
    return float(header) if header is not None and header.strip().isdigit() else None
