"""Whether one replica of a version still computes: judged by its forwards and by its golden input. Pure.

A failed forward, or one that runs too long, is a suspicion. The golden input decides: if it gives its golden answer,
the studies were at fault; if it fails, differs or hangs, the replica is to be replaced.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """`forward_hang_s`: how long a forward may run before the golden input is asked. `forward_lost_s`: how long a
    live forward may run at all. `golden_s`: the deadline of the golden input itself.
    """

    forward_hang_s: float
    forward_lost_s: float
    golden_s: float

    def __post_init__(self) -> None:
        if not 0 < self.forward_hang_s <= self.forward_lost_s or self.golden_s <= 0:
            raise ValueError("a forward is suspected before it is given up, and every limit is above 0")


@dataclass(slots=True)
class _Forward:
    started: float
    is_live: bool
    is_cleared: bool = False  # it runs long, and the golden input was answered meanwhile


class ReplicaHealth:
    """Notes what the forwards do; says when the golden input is to be run, and why the replica is unwell."""

    def __init__(self, limits: HealthLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._ids = itertools.count()
        self._forwards: dict[int, _Forward] = {}
        self._failures = 0  # in a row, since an answer or a golden answer
        self._failures_before_golden = 0
        self._fault: str | None = None
        self._is_fault_of_forwards = False
        self.studies_at_fault = 0

    @property
    def reason(self) -> str | None:
        """Why the replica is to be replaced; None while it is well or only suspected."""
        if self._fault is None and any(
            forward.is_live and self._age(forward) > self.limits.forward_lost_s
            for forward in self._forwards.values()
        ):
            self._blame_forwards(f"a forward has not ended within {self.limits.forward_lost_s:.0f} s")
        return self._fault

    @property
    def suspicion(self) -> str | None:
        """Why the golden input is to be run now."""
        if self.reason is not None:
            return None
        if self._failures:
            return "a forward failed"
        return "a forward runs long" if self._overdue() else None

    def forward_begun(self, *, is_live: bool) -> int:
        """Note a forward; returns its id.

        A live one holds up others; that of a shadow on idle cores may take any time.
        """
        forward_id = next(self._ids)
        self._forwards[forward_id] = _Forward(self._clock(), is_live)
        return forward_id

    def forward_ended(self, forward_id: int) -> None:
        self._forwards.pop(forward_id, None)

    def outlasts_the_replica(self, forward_id: int) -> bool:
        """Whether the replica is to be replaced for the sake of this forward, which runs long."""
        forward = self._forwards[forward_id]
        return self._is_fault_of_forwards and self._age(forward) > self.limits.forward_hang_s

    def study_answered(self) -> None:
        self._failures = self._failures_before_golden = 0

    def study_failed(self) -> bool:
        """Whether this is the first failure since an answer: that study may have broken what follows it."""
        self._failures += 1
        return self._failures == 1

    def golden_begun(self) -> None:
        self._failures_before_golden = self._failures

    def golden_answered(self) -> bool:
        """Note that the studies were at fault. True when a live forward runs on that others need not wait for.

        A failure after the golden input had begun keeps the suspicion: it may have broken the device since.
        """
        self.studies_at_fault += self._failures_before_golden
        self._failures -= self._failures_before_golden
        self._failures_before_golden = 0
        overdue = self._overdue()
        live = [forward for forward in overdue if forward.is_live]
        for forward in overdue:
            forward.is_cleared = True
        if live and sum(f.is_live and f.is_cleared for f in self._forwards.values()) > len(live):
            self._blame_forwards("a second forward runs long beside the first")
        return bool(live)

    def golden_failed(self, fault: str) -> None:
        self._fault = fault

    def _blame_forwards(self, fault: str) -> None:
        self._fault, self._is_fault_of_forwards = fault, True

    def _overdue(self) -> list[_Forward]:
        return [
            forward
            for forward in self._forwards.values()
            if not forward.is_cleared and self._age(forward) > self.limits.forward_hang_s
        ]

    def _age(self, forward: _Forward) -> float:
        return self._clock() - forward.started
