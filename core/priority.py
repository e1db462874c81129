"""In which order work begins: STAT before all else, the rest by priority and age. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Priority(StrEnum):
    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"
    BATCH = "batch"


PRIORITY_DELAY_S: Final[Mapping[Priority, float]] = MappingProxyType(
    {Priority.STAT: 0.0, Priority.URGENT: 60.0, Priority.ROUTINE: 600.0, Priority.BATCH: 3600.0}
)


@dataclass(frozen=True, slots=True, order=True)
class QueueOrder:
    """Compares as work is to begin: the smallest first. `rank` 0 is STAT, 1 all else."""

    rank: int
    scheduled_at: datetime


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """A study's place where studies wait: in the order of all, and in the lane of its source."""

    order: QueueOrder
    source: str


def queue_order(priority: Priority, created_at: datetime) -> QueueOrder:
    """STAT overtakes all that has not begun. Among the rest a study overtakes only what is younger than its
    priority's delay allows, so each waits at most for what came within that delay, and for STAT (aging).
    """
    rank = 0 if priority is Priority.STAT else 1
    return QueueOrder(rank, scheduled_at(priority, created_at))


def scheduled_at(priority: Priority, created_at: datetime) -> datetime:
    """Creation plus the delay of its priority."""
    return created_at + timedelta(seconds=PRIORITY_DELAY_S[priority])
