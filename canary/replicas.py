"""How many replicas a version needs, from what waits for it. Pure.

Every study has a time by which its priority wants it begun (`core.priority`), and the gate takes them in that order:
earliest deadline first. So the question has an exact answer. For each deadline, all that is due until then has to fit
into the time until then (the processor demand of real-time scheduling; Baruah, Rosier and Howell 1990):

    replicas = the highest, over all deadlines d, of  work due until d / (d - now)

STAT asks for much at once, a thousand batch studies for what reads them within their hour. What is due late never
keeps what is due early from its replicas, and asks for none of its own while there is time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Final, NamedTuple

from core.priority import Priority
from core.weekly_hours import Hours

START_S: Final = 15.0  # from the decision to a replica that reads
SOONEST_S: Final = (
    15.0  # what is due at once, or late already, is to be read within this time after the start
)
CPUS_OF_A_REPLICA: Final = 2.0  # the forward takes one; fetching, preparing and reporting its studies another
ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class DueStudies:
    """So many studies of one model and priority that are to begin by `due`. `model` is empty where none was named."""

    model: str
    priority: Priority
    due: datetime
    studies: float


@dataclass(frozen=True, slots=True)
class Demand:
    """How many replicas the work asks for, whatever there may be, and whose deadline asks for them."""

    replicas: int
    priority: Priority | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `least` to `most` replicas; `hours` say why the least is what it is, None when it always is."""

    least: int
    most: int
    hours: Hours | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError("the least number of replicas lies within 0..most")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many replicas a version is to have, within which bounds, and why."""

    replicas: int
    bounds: Bounds
    why: str = ""

    @property
    def in_words(self) -> str:
        within = f"{self.replicas} of {self.bounds.least}–{self.bounds.most}"
        return f"{within}: {self.why}" if self.why else within


class Asked(NamedTuple):
    """What was asked for at a moment, in seconds since the epoch; without a priority, what ran then."""

    at_s: float
    replicas: int
    priority: Priority | None = None


class Scaled(NamedTuple):
    """What is wanted now, and what is to be remembered of it."""

    wanted: Wanted
    past: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the cluster has of each."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: float = 0.0


def demand(waiting: Iterable[DueStudies], study_s: float, share: float, at: datetime) -> Demand:
    """What studies ask for that keep a replica busy for `study_s` seconds each, of which the version reads `share`.

    No deadline is nearer than `SOONEST_S` after the time that a replica takes to start, and no study is read by two.
    """
    number, most = 0.0, Demand(0)
    for due, priority, studies in sorted((one.due, one.priority, one.studies) for one in waiting):
        number += studies * share
        within_s = max(SOONEST_S, (due - at) / timedelta(seconds=1) - START_S)
        replicas = min(ceil(number * study_s / within_s - ROUNDING), ceil(number - ROUNDING))
        if replicas > most.replicas:
            most = Demand(replicas, priority)
    return most


def scale(asked: Demand, bounds: Bounds, past: Sequence[Asked], keep_s: float, at_s: float) -> Scaled:
    """Up at once; down only to what was asked for at any time in the last `keep_s` seconds.

    Hours need no such delay: nobody takes them back a moment later. `past` is what the last call gave.
    """
    now = Asked(at_s, min(asked.replicas, bounds.most), asked.priority)
    recent = [one for one in past if at_s - keep_s < one.at_s <= at_s and one.replicas > now.replicas]
    remembered = (*recent, now)
    replicas = max(bounds.least, min(remembered[0].replicas, bounds.most))
    why = _why(remembered[0].priority, bounds, replicas, keep_s)
    more = f"; {asked.priority} studies ask for more" if asked.replicas > bounds.most else ""
    return Scaled(Wanted(replicas, bounds, f"{why}{more}".removeprefix("; ")), remembered)


def _why(priority: Priority | None, bounds: Bounds, replicas: int, keep_s: float) -> str:
    """In words that stay while their cause does, so that nobody is told of every study that comes."""
    if replicas > bounds.least:
        whose = f"{priority} studies that wait, or did" if priority else "what ran"
        return f"for {whose} within {keep_s:g} s"
    if replicas == 0:
        return "sleeps until it is asked"
    return f"hours {bounds.hours.text}" if bounds.hours is not None else ""


def most_replicas(
    asked: int | None, capacity: Capacity, *, cpus: float = 0.0, gpus: float = 0.0, memory_bytes: int = 0
) -> int:
    """The number that was asked for; without one as many replicas as make reading faster, each of that size.

    On a CPU half as many as there are cores: on two cores a second replica takes from the first what it needs. On
    GPUs one for each.
    """
    if asked is not None:
        return asked
    fits = [capacity.cpus / max(cpus, CPUS_OF_A_REPLICA)]
    if gpus and capacity.gpus:
        fits.append(capacity.gpus / max(gpus, 1.0))
    if memory_bytes and capacity.memory_bytes:
        fits.append(capacity.memory_bytes / memory_bytes)
    return max(1, floor(min(fits) + ROUNDING))


def bounds_of(least: int, most: int, hours: Hours | None, *, may_sleep: bool) -> Bounds:
    """Hours raise the least while they hold. A version that may answer a caller has one replica at least."""
    lowest = max(least, 0 if may_sleep else 1)
    binding = hours if hours is not None and hours.number > lowest else None
    lowest = binding.number if binding is not None else lowest
    return Bounds(lowest, max(most, lowest, 1), binding)
