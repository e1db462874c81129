"""Is a study to be read now, or has the same version read the same input already? A pure decision.

Whoever sends studies may send one twice; a PACS whose study becomes stable again when a report is stored in it does
so for ever. A reading is named by a key of its input, its version and the rules in force, and belongs to one job.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum


class Turn(StrEnum):
    READ = "read"
    WAIT = "wait"  # another job reads it now
    SAME = "same"  # another job has read it: its result answers this one too


@dataclass(frozen=True, slots=True)
class OtherReader:
    """The other job that the reading belongs to, as it stands.

    `is_reading` says that it runs under a lease that holds, `undelivered` that one of its deliveries was given up.
    """

    outputs: Set[str]
    has_result: bool = False
    is_reading: bool = False
    undelivered: bool = False


def turn_of(outputs: Set[str], other: OtherReader | None, *, forced: bool) -> Turn:
    """What a job does that wants `outputs` of a reading. `other` is None where the reading is nobody else's.

    A job that failed, was cancelled or lost its worker leaves the reading to the next. A result that did not reach
    its store, or lacks an output that is wanted now, answers nobody else.
    """
    if forced or other is None:
        return Turn.READ
    if other.has_result:
        return Turn.SAME if outputs <= other.outputs and not other.undelivered else Turn.READ
    return Turn.WAIT if other.is_reading else Turn.READ
