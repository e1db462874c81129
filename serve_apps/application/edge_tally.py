"""What a process that answers callers has seen and the ledger does not know yet: answers that were errors, and
results that were given away.

To note something is a few instructions and never fails, so that no answer waits for it; a thread writes it seconds
later. What was noted and not yet written is lost with the process; what was written counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Final, Protocol

from core.clock import now
from ledger import Job, Ledger
from observability.metrics.funnel import Step, StudyMark
from observability.metrics.instruments import API_ERRORS
from observability.metrics.series import Observation

MOST_WAITING: Final = 10_000
MOST_REMEMBERED: Final = 10_000


class Tally(Protocol):
    """What is written to the ledger from time to time."""

    def write(self, ledger: Ledger) -> None:
        """Write what was noted since the last time, or keep it for the next. Raises LedgerUnavailable."""
        ...


class ErrorTally:
    """Answers that were errors, by the problem's code and HTTP status."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: Counter[tuple[str, int]] = Counter()

    def note(self, code: str, status: int) -> None:
        with self._lock:
            self._waiting[code, status] += 1

    def write(self, ledger: Ledger) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
        if not waiting:
            return
        seen = [Observation(API_ERRORS, (code, str(status)), n) for (code, status), n in waiting.items()]
        try:
            ledger.metrics.add(seen)
        except Exception:
            with self._lock:
                self._waiting.update(waiting)
            raise


class ResultTally:
    """Results that a caller was given, and that somebody fetched afterwards. `study_key` makes a UID a pseudonym."""

    def __init__(self, study_key: Callable[[str], str], clock: Callable[[], datetime] = now) -> None:
        self._study_key = study_key
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[tuple[str, str, Step], StudyMark] = {}
        self._written: dict[tuple[str, str, Step], None] = {}  # the oldest first

    def given(self, job: Job, model: str = "") -> None:
        """The caller of the job has its result; `model` is the one that read, where the job does not name it yet."""
        self._note(job, model or job.model, Step.DELIVERED)

    def opened(self, job: Job) -> None:
        """Somebody fetched the job's result, or a document of it, which so was delivered at the latest."""
        self._note(job, job.model, Step.DELIVERED)
        self._note(job, job.model, Step.OPENED)

    def write(self, ledger: Ledger) -> None:
        with self._lock:
            waiting = dict(self._waiting)
        if not waiting:
            return
        ledger.study_marks.add(waiting.values())
        with self._lock:
            for key in waiting:
                del self._waiting[key]
                self._written[key] = None
            while len(self._written) > MOST_REMEMBERED:
                del self._written[next(iter(self._written))]

    def _note(self, job: Job, model: str, step: Step) -> None:
        key = (self._study_key(job.study.study_uid), model, step)
        with self._lock:
            if (
                not model
                or key in self._written
                or key in self._waiting
                or len(self._waiting) >= MOST_WAITING
            ):
                return
            seconds = (self._clock() - job.created_at).total_seconds() if step is Step.DELIVERED else None
            self._waiting[key] = StudyMark(*key, priority=job.priority.value, seconds=seconds)
