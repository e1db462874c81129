"""From what was done with a study to the events that the cost ledger takes: pure, and the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from observability.cost.events import (
    MAX_SPAN_NS,
    Charge,
    CostedReading,
    CostEvent,
    ReadingMode,
    Usage,
)
from observability.cost.items import Item
from observability.names import Stage
from observability.record import InferenceRecord, Outcome, StageTiming, StudyTrace

NOT_WORK: Final = frozenset({Stage.QUEUE, Stage.WAIT})
"""Stages in which a study waits and keeps nothing busy."""
NOTHING: Final[Mapping[Item, int]] = MappingProxyType({})


BY_THE_VERSION: Final = (Stage.PREPARE, Stage.FORWARD, Stage.INTERPRET)
"""Stages that the version's own replica carries out."""
BY_THE_PLATFORM: Final = (Stage.FETCH, Stage.DECODE, Stage.SELECT, Stage.REPORT)
"""Stages that replicas of the platform carry out, whichever version reads."""


def usages_of(trace: StudyTrace) -> tuple[CostEvent, ...]:
    """The usages of replicas by the trace: of the versions' by its readings, of the platform's by the study itself.

    An answer whose replica is not known uses none. A reading that failed at an unknown replica used one of the
    version's.
    """
    mode = ReadingMode.LIVE if trace.is_live else ReadingMode.SILENT
    of_readings = (
        event
        for record in trace.records
        if record.replica or record.outcome is not Outcome.OK
        for event in events_of(record, dict.fromkeys(BY_THE_VERSION, record.replica), mode)
    )
    return (*of_readings, *_of_the_platform(trace, mode))


def _of_the_platform(trace: StudyTrace, mode: ReadingMode) -> Iterator[Usage]:
    """For the reading that was delivered, else for the last that was to be; for none where none was begun."""
    delivered = next((one for one in trace.records if one.delivered), None)
    last = delivered or (trace.records[-1] if trace.records else None)
    if last is None:
        unread_names: tuple[str, ...] = (trace.study_key, trace.job_id or "")
        unread = CostedReading(trace.study_key, "", "", "", trace.outcome, False, mode, site=trace.site)
        last_reading, about = unread, unread_names
    else:
        last_reading, about = reading_of(last, mode), _names(last, mode)
    for number, timing in enumerate(trace.stages):
        if timing.replica and timing.stage in BY_THE_PLATFORM:
            event = _digest(about, f"study {number} {timing.stage.value}", timing.start_ns)
            yield Usage(event, timing.replica, timing.stage, timing.start_ns, _end_ns(timing), last_reading)


def events_of(
    record: InferenceRecord,
    resources: Mapping[Stage, str],
    mode: ReadingMode,
    *,
    charged: Mapping[Item, int] = NOTHING,
    weight: int = 1,
) -> tuple[CostEvent, ...]:
    """A usage for each stage that kept a resource busy, and a charge for each item that was `charged`, at the end.

    `resources` names the replica that carried out each stage; a stage without one is nobody's cost. The ids hang on
    what the events tell of alone, so that whoever tells of the same record again after a crash tells of the same
    events.
    """
    reading = reading_of(record, mode)
    at_ns = max((timing.end_ns for timing in record.stages), default=0)
    charges = tuple(
        Charge(_id(record, mode, item.value, at_ns), item, quantity, at_ns, reading)
        for item, quantity in sorted(charged.items())
        if quantity
    )
    return (*_usages(record, resources, reading, weight), *charges)


def reading_of(record: InferenceRecord, mode: ReadingMode) -> CostedReading:
    """Whose work it was. What nobody waits for is never delivered."""
    return CostedReading(
        record.study_key,
        record.model,
        record.version,
        record.variant,
        record.outcome,
        record.delivered and mode is ReadingMode.LIVE,
        mode,
        record.attempt,
        record.site,
        record.facts.modality if record.facts is not None else "",
    )


def _usages(
    record: InferenceRecord, resources: Mapping[Stage, str], reading: CostedReading, weight: int
) -> Iterator[Usage]:
    for number, timing in enumerate(record.stages):
        resource = timing.replica or resources.get(timing.stage)
        if resource is None or timing.stage in NOT_WORK:
            continue
        event = _id(record, reading.mode, f"{number} {timing.stage.value}", timing.start_ns)
        yield Usage(event, resource, timing.stage, timing.start_ns, _end_ns(timing), reading, weight)


def _end_ns(timing: StageTiming) -> int:
    return min(timing.end_ns, timing.start_ns + MAX_SPAN_NS)


def _id(record: InferenceRecord, mode: ReadingMode, what: str, at_ns: int) -> str:
    return _digest(_names(record, mode), what, at_ns)


def _names(record: InferenceRecord, mode: ReadingMode) -> tuple[str, ...]:
    return (record.study_key, record.model, record.version, record.variant, mode.value, str(record.attempt))


def _digest(about: tuple[str, ...], what: str, at_ns: int) -> str:
    text = "\n".join((*about, what, str(at_ns)))
    return blake2b(text.encode(), digest_size=16, person=b"cost-event").hexdigest()
