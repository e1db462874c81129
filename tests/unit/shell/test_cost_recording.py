"""A trace becomes usages of the replica that worked, also when nothing is exported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from observability.cost.events import CostEvent, ReadingMode, Usage
from observability.names import Stage
from observability.record import Outcome, StudyTrace
from serve_apps.application.cost_recording import CostedRecording, costs_of
from tests.unit.observability.cost.fleets import at
from tests.unit.observability.cost.test_told import RECORD

BY_REPLICA = replace(RECORD, replica="replica-7")
TRACE = StudyTrace("st-1", at(0), at(9), Outcome.OK, records=(BY_REPLICA,))


class Inner:
    def __init__(self) -> None:
        self.traces: list[StudyTrace] = []
        self.is_closed = False

    def record(self, trace: StudyTrace) -> str | None:
        self.traces.append(trace)
        return None

    async def aclose(self) -> None:
        self.is_closed = True


class Costs:
    def __init__(self) -> None:
        self.noted: list[CostEvent] = []
        self.flushes = 0

    def note(self, events: Iterable[CostEvent]) -> None:
        self.noted += events

    async def flush(self) -> int:
        self.flushes += 1
        return 0


async def test_a_trace_is_recorded_and_its_costs_are_noted_and_written_at_the_end() -> None:
    inner, costs = Inner(), Costs()
    recording = CostedRecording(inner, costs)
    assert recording.record(TRACE) is None
    await recording.aclose()
    assert (inner.traces, inner.is_closed, costs.flushes) == ([TRACE], True, 1)
    assert costs.noted == list(costs_of(TRACE))


def test_the_version_s_own_stages_use_its_replica() -> None:
    found = [(e.resource, e.stage, e.reading.mode) for e in costs_of(TRACE) if isinstance(e, Usage)]
    assert found == [
        ("replica-7", Stage.PREPARE, ReadingMode.LIVE),
        ("replica-7", Stage.FORWARD, ReadingMode.LIVE),
    ]


def test_a_reading_by_nobody_knows_whom_uses_nothing() -> None:
    assert costs_of(replace(TRACE, records=(RECORD,))) == ()
