"""A study that two versions were given: how it ended for each of them, and what of that counts. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.errors import (
    DeadlineExceeded,
    InputOutOfDistribution,
    ModelError,
    OutsideIntendedUse,
    PoisonStudy,
    Unforeseen,
    WorkerLost,
)

UNEXPECTED: Final = "unexpected-error"  # of a shadow: an exception that nobody foresaw
REFUSALS: Final = frozenset({InputOutOfDistribution.code, OutsideIntendedUse.code})
FAILURES: Final = frozenset(
    {
        *(ModelError.code, DeadlineExceeded.code, WorkerLost.code, PoisonStudy.code, Unforeseen.code),
        UNEXPECTED,
    }
)


class Ended(StrEnum):
    """How a study ended for one version."""

    READ = "read"
    FAILED = "failed"  # it crashed, was too slow, or said what no report may hold
    REFUSED = "refused"  # the study is not for it, which is no failure of the version


def ended_by(code: str | None) -> Ended | None:
    """How a version's reading ended by the code of its last error, None without one.

    None where the error says nothing of the version: the archive was away, the study cannot be read, the task was
    given up.
    """
    if code is None:
        return Ended.READ
    if code in REFUSALS:
        return Ended.REFUSED
    return Ended.FAILED if code in FAILURES else None
