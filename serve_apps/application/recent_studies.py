"""The studies that were read a moment ago, still in the object store, so that a shadow fetches nothing again."""

from __future__ import annotations

import time
from collections.abc import Callable

from serve_apps.application.messages import FetchedStudy


class RecentStudies:
    """Keeps a few studies for a while: each pins a volume of some hundred megabytes in the object store."""

    def __init__(self, size: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._keep_s = keep_s
        self._clock = clock
        self._studies: dict[str, tuple[float, FetchedStudy]] = {}  # by job, the oldest first

    def keep(self, job_id: str, study: FetchedStudy) -> None:
        self._studies.pop(job_id, None)
        self._studies[job_id] = (self._clock() + self._keep_s, study)
        self.forget()

    def get(self, job_id: str) -> FetchedStudy | None:
        self.forget()
        _, study = self._studies.get(job_id, (0.0, None))
        return study

    def drop(self, job_id: str) -> None:
        """Forget the job's study, which is no longer there."""
        self._studies.pop(job_id, None)

    def forget(self) -> None:
        """Let go of what is too old or too much."""
        now_s = self._clock()
        while self._studies:
            oldest, (until_s, _) = next(iter(self._studies.items()))
            if until_s > now_s and len(self._studies) <= self._size:
                return
            del self._studies[oldest]
