"""Measures the stages of one study: wall-clock stamps that never run backwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from observability.names import Stage
from observability.record import StageTiming


class StageClock:
    """Collects `StageTiming`s. Anchored to the wall clock once, then monotonic: an NTP step bends no span.

    Stages may overlap, and the same stage may be measured several times.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self._steady_ns = steady_ns
        self._offset_ns = wall_ns() - steady_ns()
        self._timings: list[StageTiming] = []

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        return self._steady_ns() + self._offset_ns

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time the block. An exception is noted by its `code` (or its type's name) and passes on."""
        start = self.now_ns()
        code: str | None = None
        try:
            yield
        except BaseException as error:
            code = str(getattr(error, "code", type(error).__name__))
            raise
        finally:
            self._timings.append(StageTiming(stage, start, max(start, self.now_ns()), code))

    def add(self, stage: Stage, start_ns: int, end_ns: int, error_code: str | None = None) -> None:
        """Note a stage that someone else measured; clocks of two machines may disagree, so it is clamped."""
        self._timings.append(StageTiming(stage, start_ns, max(start_ns, end_ns), error_code))

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        return tuple(self._timings)
