"""Hands what a trace tells of readings to the cost recorder, where traces are recorded: off the study's path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from observability.cost.events import CostEvent, ReadingMode
from observability.cost.from_record import events_of
from observability.names import Stage
from observability.record import StudyTrace

BY_THE_VERSION = (Stage.PREPARE, Stage.FORWARD, Stage.INTERPRET)
"""Stages that the version's own replica carries out."""


class Recording(Protocol):
    """Takes a trace and never raises."""

    def record(self, trace: StudyTrace) -> str | None: ...
    async def aclose(self) -> None: ...


class NotesCosts(Protocol):
    """Takes events and never raises."""

    def note(self, events: Iterable[CostEvent]) -> None: ...
    async def flush(self) -> int: ...


class CostedRecording:
    """A recording that notes the costs of each reading, too, whether or not its trace is exported."""

    def __init__(self, inner: Recording, costs: NotesCosts) -> None:
        self._inner = inner
        self._costs = costs

    def record(self, trace: StudyTrace) -> str | None:
        self._costs.note(costs_of(trace))
        return self._inner.record(trace)

    async def aclose(self) -> None:
        """Write what waits, and end the recording."""
        await self._costs.flush()
        await self._inner.aclose()


def costs_of(trace: StudyTrace) -> tuple[CostEvent, ...]:
    """The usages of the versions' replicas by the trace's readings. One whose replica is not known uses none."""
    return tuple(
        event
        for record in trace.records
        if record.replica
        for event in events_of(record, dict.fromkeys(BY_THE_VERSION, record.replica), ReadingMode.LIVE)
    )
