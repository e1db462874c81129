"""Hands what a trace tells of readings to the cost recorder, where traces are recorded: off the study's path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from core.errors import SerinusError
from ledger import ClaimedShadow
from observability.cost.events import CostEvent, ReadingMode
from observability.cost.from_record import events_of
from observability.names import Stage
from observability.record import InferenceRecord, InputFacts, Outcome, StudyTrace
from serve_apps.application.messages import FetchedStudy, Inference, ServedVersion

logger = logging.getLogger("serinus.costs")
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
        _note(self._costs, lambda: costs_of(trace))
        return self._inner.record(trace)

    async def aclose(self) -> None:
        """Write what waits, if the ledger takes it, and end the recording."""
        with suppress(SerinusError):
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


def _note(costs: NotesCosts, events: Callable[[], Iterable[CostEvent]]) -> None:
    """What cannot be an event, as a time that is longer than a day, is told and costs nobody's study anything."""
    try:
        costs.note(events())
    except ValueError as error:
        logger.warning("costs.untold", extra={"reason": str(error)})


class ShadowCosts:
    """Notes what a reading in silence used. It takes no time and never raises."""

    def __init__(self, costs: NotesCosts | None, site: str) -> None:
        self._costs = costs
        self._site = site

    def note(
        self, claimed: ClaimedShadow, version: ServedVersion, study: FetchedStudy, inference: Inference
    ) -> None:
        if self._costs is not None and inference.replica:
            _note(self._costs, lambda: self._events(claimed, version, study, inference))

    def _events(
        self, claimed: ClaimedShadow, version: ServedVersion, study: FetchedStudy, inference: Inference
    ) -> tuple[CostEvent, ...]:
        record = InferenceRecord(
            claimed.study_key,
            version.model,
            version.version,
            version.digest,
            claimed.variant,
            Outcome.OK,
            delivered=False,
            stages=inference.stages,
            device=inference.device,
            attempt=claimed.attempt,
            site=self._site,
            facts=InputFacts(study.facts.modality),
            replica=inference.replica,
        )
        resources = dict.fromkeys(BY_THE_VERSION, inference.replica)
        return events_of(record, resources, ReadingMode.SILENT)


NO_SHADOW_COSTS = ShadowCosts(None, "")
