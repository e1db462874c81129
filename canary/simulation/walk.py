"""One run of a plan from its beginning to its end, or until the days are over. The clock is simulated.

A look comes every `every` and when a window opens; what comes between two looks is taken in at the second. Once a
rollout is paused or watched, one look a day is enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np

from canary.rollout.plan import RolloutPlan
from canary.rollout.status import RolloutPhase, RolloutStatus
from canary.rollout.windows import next_opening
from canary.simulation.assumptions import Assumptions
from canary.simulation.site import SimulatedSite
from canary.simulation.studies import Studies

DAY: Final = timedelta(days=1)
SELDOM: Final = frozenset({RolloutPhase.PAUSED, RolloutPhase.SURVEILLING})


class Ending(StrEnum):
    """How a run stands when its days are over, or when nothing can come any more."""

    PROMOTED = "promoted"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # promoted, and gone back by late truth
    PAUSED = "paused"
    WAITING = "waiting"
    COMPLETED = "completed"  # a silent trial is over


@dataclass(frozen=True, slots=True)
class Walk:
    """One run. `reached[n]` is when step n was done, in days; `promoted` when the alias moved; inf: never.

    `exposed` studies were answered by the candidate below a weight of 100 %.
    """

    ending: Ending
    reason: str
    days: float
    reached: tuple[float, ...]
    promoted: float
    exposed: int
    adverse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """From when on, for how long, and how often a run is looked at."""

    begin: datetime
    days: float
    every: timedelta

    def __post_init__(self) -> None:
        if self.begin.tzinfo is None or self.days <= 0 or self.every <= timedelta(0):
            raise ValueError("a horizon begins in a time zone, and its days and looks are above 0")


def walk(plan: RolloutPlan, assumptions: Assumptions, horizon: Horizon, rng: np.random.Generator) -> Walk:
    """Walk the plan once; the same generator gives the same walk."""
    site = SimulatedSite(plan, Studies(assumptions, rng), horizon.begin)
    end = horizon.begin + timedelta(days=horizon.days)
    opening: datetime | None = None
    site.look()
    while site.now < end and not _is_over(site):
        if opening is None or opening <= site.now:
            opening = next_opening(plan.calendar, site.now) or end
        pace = DAY if site.status.phase in SELDOM else horizon.every
        site.pass_time(min(site.now + pace, opening, end))
        site.look()
    return _told(site, horizon)


def _is_over(site: SimulatedSite) -> bool:
    """Whether it has ended, or is promoted and all truth is known: then only time passes."""
    status = site.status
    if status.has_ended:
        return True
    return status.phase is RolloutPhase.SURVEILLING and site.studies.is_all_known


def _told(site: SimulatedSite, horizon: Horizon) -> Walk:
    status, steps = site.status, len(site.plan.steps)
    reached = [math.inf] * steps
    for event in site.events:
        for done in range(event.before.step, min(event.after.step, steps)):
            reached[done] = (event.at - horizon.begin) / DAY
    promoted_at = status.promoted_at
    return Walk(
        ending=_ending(status),
        reason=status.ending or status.reason,
        days=(site.now - horizon.begin) / DAY,
        reached=tuple(reached),
        promoted=math.inf if promoted_at is None else (promoted_at - horizon.begin) / DAY,
        exposed=site.exposed,
        adverse=site.adverse,
    )


def _ending(status: RolloutStatus) -> Ending:
    if status.phase in (RolloutPhase.FAILED, RolloutPhase.ROLLING_BACK):
        return Ending.WITHDRAWN if status.is_promoted else Ending.FAILED
    if status.phase is RolloutPhase.PAUSED:
        return Ending.PAUSED
    if status.is_promoted:
        return Ending.PROMOTED
    return Ending.COMPLETED if status.phase is RolloutPhase.COMPLETED else Ending.WAITING
