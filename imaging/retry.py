"""Ask again, for a while: bounded retries of idempotent requests under one deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

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


def retrying(work: Callable[[], T], deadline: Deadline, attempts: int = len(_PAUSES_S) + 1) -> T:
    """The result of `work`, called again while it raises Transient. Raises the error of the last attempt."""
    for attempt in range(attempts):
        deadline.check()
        try:
            return work()
        except Transient as failure:
            last = failure
            pause_s = _pause_s(attempt, failure.after_s)
        if attempt + 1 == attempts or pause_s >= deadline.left_s:
            break
        time.sleep(pause_s)
    raise last.error from None


def _pause_s(attempt: int, asked_s: float | None) -> float:
    pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
    return min(max(pause_s, asked_s or 0.0), _LONGEST_PAUSE_S)


def retry_after_s(header: str | None) -> float | None:
    """A Retry-After of delta-seconds (RFC 9110 §10.2.3); a date, or nonsense, is None."""
    return float(header) if header is not None and header.strip().isdigit() else None
