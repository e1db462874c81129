"""How a job moves: a state machine as one table.

waiting ──► queued ──► running ──► storing ──► completed
   │           │        │  ▲ │        │
   │           │        └──┘ │        └─ a dead letter completes the job too, and is shown as undelivered
   └───────────┴──► canceled └──► failed
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from core.priority import Priority as Priority


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


def may_move(before: JobState, after: JobState) -> bool:
    return after in MOVES[before]
