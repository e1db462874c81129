"""How far studies come: eligible, processed, delivered, opened, confirmed. Each counts once at a step of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from observability.metrics import instruments as of
from observability.metrics.series import Exemplar, Observation
from observability.record import StudyTrace


class Step(StrEnum):
    """In the order in which a study takes them, but that a truth may be told before the study is read."""

    ELIGIBLE = "eligible"  # fetched, within the intended use of a model, and given to one of its versions
    PROCESSED = "processed"  # a version answered
    DELIVERED = "delivered"  # its source or callback took the result, or its caller was given it
    OPENED = "opened"  # somebody fetched the result or a document afterwards
    CONFIRMED = "confirmed"  # somebody said what was really there


@dataclass(frozen=True, slots=True)
class StudyMark:
    """A study, by its pseudonym, has come to a step of a model, `seconds` after it was accepted.

    `priority` and `seconds` are those of the job, where a job brought it there; `trace_id` is of a kept trace.
    """

    study_key: str
    model: str
    step: Step
    priority: str = ""
    seconds: float | None = None
    trace_id: str | None = None


def marks_of(trace: StudyTrace, trace_id: str | None = None) -> Iterator[StudyMark]:
    """What an attempt at a study says of it; `trace_id` names its exported trace, if it was kept."""
    if not trace.is_live or not trace.records:
        return
    model = trace.records[0].model
    yield StudyMark(trace.study_key, model, Step.ELIGIBLE)
    if any(record.delivered for record in trace.records):
        yield StudyMark(trace.study_key, model, Step.PROCESSED, trace_id=trace_id)


def observations_of_mark(mark: StudyMark, at_s: float) -> Iterator[Observation]:
    """What a mark adds to the metrics; `at_s` in seconds since the Unix epoch."""
    yield Observation(of.FUNNEL, (mark.model, mark.step.value), 1)
    if mark.step is Step.DELIVERED and mark.seconds is not None:
        exemplar = None if mark.trace_id is None else Exemplar(mark.trace_id, mark.seconds, at_s)
        yield Observation(of.TURNAROUND_SECONDS, (mark.model, mark.priority), mark.seconds, exemplar)
