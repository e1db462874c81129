"""What a reading that failed has cost: which replica worked at it, and when. It travels with the error.

An error that a replica raised says what that replica knows. Of a call without an answer only its beginning and its
end are known, and neither which replica had it nor whether it waited there.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import TypeVar

from core.errors import SerinusError
from observability.names import Stage
from observability.record import StageTiming

E = TypeVar("E", bound=SerinusError)


@dataclass(frozen=True, slots=True)
class FailedWork:
    """The stages that were begun; a stage without a replica was carried out by one of the version's."""

    stages: tuple[StageTiming, ...] = ()

    def at(self, replica: str) -> FailedWork:
        """The same, carried out by that replica."""
        return FailedWork(tuple(replace(timing, replica=replica) for timing in self.stages))


NO_WORK = FailedWork()


def with_work(error: E, stages: tuple[StageTiming, ...]) -> E:
    """The error with what was worked before it; a copy, since several studies may be told of one error."""
    told = copy(error)
    told.work = FailedWork(stages)
    return told


def with_work_at(error: E, replica: str) -> E:
    """The error with the replica that did the work that it tells of."""
    told = copy(error)
    told.work = work_of(error).at(replica)
    return told


def without_answer(error: E, start_ns: int, end_ns: int) -> E:
    """The error of a call that no replica answered."""
    timing = StageTiming(Stage.FORWARD, start_ns, max(start_ns, end_ns), error.code)
    return with_work(error, (timing,))


def work_of(error: BaseException) -> FailedWork:
    """What an error tells of work; nothing, where it tells of none."""
    told = getattr(error, "work", None)
    return told if isinstance(told, FailedWork) else NO_WORK
