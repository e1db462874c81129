"""A trace becomes usages of the replica that worked, also when nothing is exported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from core.errors import InvalidField
from observability.cost.events import CostEvent, ReadingMode, Usage
from observability.names import Stage
from observability.record import Outcome, StageTiming, StudyTrace
from serve_apps.application.cost_recording import CostedRecording, ShadowCosts, costs_of
from serve_apps.application.messages import Inference
from tests.unit.observability.cost.fleets import at
from tests.unit.observability.cost.test_told import RECORD
from tests.unit.shell.builders import a_prediction, a_version
from tests.unit.shell.shadows import Shadows, a_claim, a_study

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
        self.error: Exception | None = None

    def note(self, events: Iterable[CostEvent]) -> None:
        self.noted += events

    async def flush(self) -> int:
        self.flushes += 1
        if self.error is not None:
            raise self.error
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


async def test_a_ledger_that_takes_no_more_holds_up_no_end() -> None:
    inner, costs = Inner(), Costs()
    costs.error = InvalidField("too long")
    await CostedRecording(inner, costs).aclose()
    assert inner.is_closed


def test_a_time_that_can_be_no_event_costs_no_trace() -> None:
    inner, costs = Inner(), Costs()
    before_the_epoch = replace(BY_REPLICA, stages=(StageTiming(Stage.FORWARD, -5, 5),))
    trace = replace(TRACE, records=(before_the_epoch,))
    CostedRecording(inner, costs).record(trace)
    assert (inner.traces, costs.noted) == ([trace], [])


def shadow(replica: str, costs: Costs) -> None:
    facts: Any = SimpleNamespace(modality="CT")
    inference = Inference(a_prediction("2"), RECORD.stages, "cpu", replica=replica)
    study = replace(a_study(), facts=facts)
    ShadowCosts(costs, "north").note(a_claim(study_key="st-9"), a_version("2"), study, inference)


def test_a_reading_in_silence_is_of_nobody_who_waits() -> None:
    costs = Costs()
    shadow("replica-2", costs)
    usages = [one for one in costs.noted if isinstance(one, Usage)]
    assert [(one.resource, one.stage) for one in usages] == [
        ("replica-2", Stage.PREPARE),
        ("replica-2", Stage.FORWARD),
    ]
    (reading,) = {one.reading for one in usages}
    assert (reading.study, reading.version, reading.mode) == ("st-9", "2", ReadingMode.SILENT)
    assert (reading.is_delivered, reading.site, reading.modality) == (False, "north", "CT")
    shadow("", costs)
    assert len(costs.noted) == len(usages), "of a replica that is not known"


async def test_a_shadow_of_a_site_that_keeps_no_books_is_read_as_ever() -> None:
    shadows = Shadows(a_claim())
    assert await shadows.runner.run_once()
    assert len(shadows.rows.finished) == 1
