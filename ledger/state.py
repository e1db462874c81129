"""How a job moves: a state machine as one table.

waiting ──► queued ──► running ──► storing ──► completed
   │           │        │  ▲ │        │
   │           │        └──┘ │        └─ a dead letter completes the job too, and is shown as undelivered
   └───────────┴──► canceled └──► failed
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    WAITING = "waiting"  # for more objects of its study
    QUEUED = "queued"
    RUNNING = "running"
    STORING = "storing"  # the result is there, a delivery is not
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELED})
OPEN = frozenset(JobState) - FINISHED
HAS_RESULT = frozenset({JobState.STORING, JobState.COMPLETED})

MOVES: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        JobState.WAITING: frozenset({JobState.RUNNING, JobState.QUEUED, JobState.CANCELED}),
        JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED}),
        JobState.RUNNING: frozenset(
            {
                JobState.RUNNING,
                JobState.QUEUED,
                JobState.STORING,
                JobState.COMPLETED,
                JobState.FAILED,
                JobState.CANCELED,
            }
        ),
        JobState.STORING: frozenset({JobState.COMPLETED}),
        JobState.COMPLETED: frozenset(),
        JobState.FAILED: frozenset(),
        JobState.CANCELED: frozenset(),
    }
)


class Priority(StrEnum):
    STAT = "stat"
    URGENT = "urgent"
    ROUTINE = "routine"
    BATCH = "batch"


PRIORITY_DELAY_S: Mapping[Priority, float] = MappingProxyType(
    {Priority.STAT: 0.0, Priority.URGENT: 60.0, Priority.ROUTINE: 600.0, Priority.BATCH: 3600.0}
)


def turn(priority: Priority, created_at: datetime) -> datetime:
    """When a job's turn comes, the earliest first: its creation plus the handicap of its priority.

    So a stat study overtakes a routine one that is less than ten minutes old, and nobody waits for ever.
    """
    return created_at + timedelta(seconds=PRIORITY_DELAY_S[priority])


def may_move(before: JobState, after: JobState) -> bool:
    return after in MOVES[before]
