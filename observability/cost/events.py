"""What is told to the cost ledger: that a resource was paid for, that a study used it, that a study cost something.

Each event has an id by which it counts once, however often it is told. A study stands in none but by its pseudonym.
Times are nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from observability.cost.items import COUNTED, TIMED, Item
from observability.names import Stage
from observability.record import Outcome

MAX_SPAN_NS: Final = (
    24 * 3600 * 10**9
)  # so that what touches an hour is found among the events of the day before


class Phase(StrEnum):
    """What a paid resource is there for; it says whose the time is that no study used."""

    LOAD = "load"
    SERVE = "serve"
    DRAIN = "drain"


class ReadingMode(StrEnum):
    """Whether somebody waits for the reading, or it is done in silence."""

    LIVE = "live"
    SILENT = "silent"  # shadows, safety nets, replays, runs of a ground-truth set


@dataclass(frozen=True, slots=True)
class Holding:
    """So much of an item that is paid by time, in the whole numbers of `TIMED`."""

    item: Item
    amount: int

    def __post_init__(self) -> None:
        if self.item not in TIMED or self.amount < 1:
            raise ValueError("a resource holds some of an item that is paid by time")


@dataclass(frozen=True, slots=True)
class PaidTime:
    """A resource (a replica) was paid for. `is_elastic`: it would not have been there without the work.

    The same moment of a resource is paid once, however many events tell of it. `deployment` names what it is there
    for where that is no version of a model: a part of the platform.
    """

    event: str
    resource: str
    start_ns: int
    end_ns: int
    holds: tuple[Holding, ...]
    phase: Phase = Phase.SERVE
    model: str = ""
    version: str = ""
    site: str = ""
    is_elastic: bool = False
    deployment: str = ""

    def __post_init__(self) -> None:
        _require_span(self.start_ns, self.end_ns)
        if len({holding.item for holding in self.holds}) < len(self.holds):
            raise ValueError("a resource holds an item once")


@dataclass(frozen=True, slots=True)
class CostedReading:
    """Whose work it was: one variant's reading of one study. `attempt` counts from 1."""

    study: str
    model: str
    version: str
    variant: str
    outcome: Outcome
    is_delivered: bool
    mode: ReadingMode = ReadingMode.LIVE
    attempt: int = 1
    site: str = ""
    modality: str = ""

    def __post_init__(self) -> None:
        if self.is_delivered and (self.mode is ReadingMode.SILENT or self.outcome is not Outcome.OK):
            raise ValueError("only a live reading that succeeded is delivered")
        if self.attempt < 1:
            raise ValueError("attempts count from 1")


@dataclass(frozen=True, slots=True)
class Usage:
    """A reading kept a resource busy in one stage, until it let go of it, also if it was cancelled before.

    `weight` is the share beside others at the same time: voxels, or the time that it takes alone. A resource that is
    not known (it is empty) is one of the version's: such a usage takes no more than what would be idle there.
    """

    event: str
    resource: str
    stage: Stage
    start_ns: int
    end_ns: int
    reading: CostedReading
    weight: int = 1

    def __post_init__(self) -> None:
        _require_span(self.start_ns, self.end_ns)
        if self.weight < 1:
            raise ValueError("a weight counts from 1")


@dataclass(frozen=True, slots=True)
class Charge:
    """A reading cost so much of an item that is counted, in the whole numbers of `COUNTED`."""

    event: str
    item: Item
    quantity: int
    at_ns: int
    reading: CostedReading

    def __post_init__(self) -> None:
        if self.item not in COUNTED or self.quantity < 0:
            raise ValueError("what is charged is counted, from 0")


CostEvent = PaidTime | Usage | Charge


def span_of(event: CostEvent) -> tuple[int, int]:
    """From when to when the event touches the books."""
    if isinstance(event, Charge):
        return event.at_ns, event.at_ns
    return event.start_ns, event.end_ns


def _require_span(start_ns: int, end_ns: int) -> None:
    if not 0 <= start_ns <= end_ns:
        raise ValueError("a span ends when it begins or later")
    if end_ns - start_ns > MAX_SPAN_NS:
        raise ValueError("a span of more than a day is told in parts")
