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
from observability.record import InferenceRecord, StudyTrace

NOT_WORK: Final = frozenset({Stage.QUEUE, Stage.WAIT})
"""Stages in which a study waits and keeps nothing busy."""
NOTHING: Final[Mapping[Item, int]] = MappingProxyType({})


BY_THE_VERSION: Final = (Stage.PREPARE, Stage.FORWARD, Stage.INTERPRET)
"""Stages that the version's own replica carries out."""


def usages_of(trace: StudyTrace) -> tuple[CostEvent, ...]:
    """The usages of the versions' replicas by the trace's readings. One whose replica is not known uses none."""
    mode = ReadingMode.LIVE if trace.is_live else ReadingMode.SILENT
    return tuple(
        event
        for record in trace.records
        if record.replica
        for event in events_of(record, dict.fromkeys(BY_THE_VERSION, record.replica), mode)
    )


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
        resource = resources.get(timing.stage)
        if resource is None or timing.stage in NOT_WORK:
            continue
        end_ns = min(timing.end_ns, timing.start_ns + MAX_SPAN_NS)
        event = _id(record, reading.mode, f"{number} {timing.stage.value}", timing.start_ns)
        yield Usage(event, resource, timing.stage, timing.start_ns, end_ns, reading, weight)


def _id(record: InferenceRecord, mode: ReadingMode, what: str, at_ns: int) -> str:
    about = (record.study_key, record.model, record.version, record.variant, mode.value, str(record.attempt))
    text = "\n".join((*about, what, str(at_ns)))
    return blake2b(text.encode(), digest_size=16, person=b"cost-event").hexdigest()
