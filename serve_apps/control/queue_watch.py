"""Looks every few seconds at what waits to be read, how long a study takes now, and what the cluster has."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean
from typing import Final, Protocol

from canary.replicas import Capacity, DueStudies
from ledger import StoredRecord
from observability.names import Stage
from observability.record import InferenceRecord, Outcome
from serve_apps.control.admission import Key

LOOK_S: Final = 5.0
RECORDS_AT_ONCE: Final = 200
REMEMBERED: Final = 50  # readings of each version
OWN_STAGES: Final = (Stage.FORWARD, Stage.INTERPRET)  # the next study is prepared meanwhile


@dataclass(frozen=True, slots=True)
class QueueSight:
    """What was seen at a moment. `study_s` is how long a study kept a replica of a version busy of late, in seconds;
    `model_shares` whose the studies were that came of late, for those that name no model.
    """

    at: datetime
    waiting: tuple[DueStudies, ...] = ()
    study_s: Mapping[Key, float] = field(default_factory=dict)
    model_shares: Mapping[str, float] = field(default_factory=dict)
    capacity: Capacity = field(default_factory=Capacity)


class Waiting(Protocol):
    """`ledger.waiting`. Raises LedgerUnavailable."""

    def all(self) -> tuple[DueStudies, ...]: ...


class Records(Protocol):
    """`ledger.study_records`. Raises LedgerUnavailable."""

    def newest_after(self, seq: int, limit: int) -> Sequence[StoredRecord]: ...


class QueueWatch:
    """What it knows of readings is made of the newest records and needs no store."""

    def __init__(
        self,
        waiting: Waiting,
        records: Records,
        capacity: Callable[[], Capacity],
        clock: Callable[[], datetime],
    ) -> None:
        self._waiting = waiting
        self._records = records
        self._capacity = capacity
        self._clock = clock
        self._seq = 0
        self._times: dict[Key, deque[float]] = {}
        self._silent_times: dict[Key, deque[float]] = {}
        self._models: deque[str] = deque(maxlen=RECORDS_AT_ONCE)
        self.sight: QueueSight | None = None

    def look(self) -> None:
        """Look once; blocks. Raises LedgerUnavailable, and what was seen before stays."""
        waiting = self._waiting.all()
        self._take(self._records.newest_after(self._seq, RECORDS_AT_ONCE))
        self.sight = QueueSight(
            self._clock(),
            waiting,
            {key: fmean(times) for key, times in (self._silent_times | self._times).items()},
            _shares(self._models),
            self._capacity(),
        )

    def _take(self, records: Iterable[StoredRecord]) -> None:
        for record in records:
            self._seq = max(self._seq, record.seq)
            times = self._times if record.trace.is_live else self._silent_times
            for reading in record.trace.records:
                if reading.outcome is not Outcome.OK or not busy_s(reading):
                    continue
                key = (reading.model, reading.version)
                times.setdefault(key, deque(maxlen=REMEMBERED)).append(busy_s(reading))
                if record.trace.is_live:
                    self._models.append(reading.model)


def busy_s(reading: InferenceRecord) -> float:
    """How long the reading kept its replica from the next one, without its waits."""
    return sum(timing.duration_ms for timing in reading.stages if timing.stage in OWN_STAGES) / 1000


def _shares(models: Sequence[str]) -> dict[str, float]:
    return {model: number / len(models) for model, number in Counter(models).items()}
